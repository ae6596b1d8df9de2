/**
 * A client of gRPC-Web in a pod: `grpc-web.ts HOST:PORT` makes one unary call as a page would, and prints what came: type, the
 * message's text, and the lines of the last frame.
 */

const [target = ""] = process.argv.slice(2);
const message = Buffer.from("\0\0\0\0\x07\n\x05hello", "latin1");
const answer = await fetch(`http://${target}/proto.EchoTestService/Echo`, {
  method: "POST",
  headers: { "content-type": "application/grpc-web-text", accept: "application/grpc-web-text" },
  body: message.toString("base64"),
});
const text = await answer.text();
const body = Buffer.concat(
  (text.match(/[^=]+={0,2}/g) ?? []).map((one) => Buffer.from(one, "base64")),
);
const end = 5 + (body.length < 5 ? 0 : body.readUInt32BE(1));
const said = {
  type: answer.headers.get("content-type"),
  status: answer.headers.get("grpc-status"),
  message: body.toString("latin1", 7, end),
  trailers: body.toString("latin1", end + 5),
};
process.stdout.write(`${JSON.stringify(said)}\n`);
