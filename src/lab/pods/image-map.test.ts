import assert from "node:assert/strict";
import { basename } from "node:path";
import { describe, test } from "node:test";
import type { Container } from "../../api/k8s/core.ts";
import { builtInImages, commandOf, parseImageMap } from "./image-map.ts";

/** What stands for a container, with the folders of stand-ins cut off; or the problem. */
function argvOf(container: Partial<Container>, rules = builtInImages): string[] | string {
  const command = commandOf({ name: "app", image: "", ...container }, rules);
  if ("problem" in command) return command.problem;
  return command.argv.map((part) => (part.startsWith("/") ? basename(part) : part));
}

describe("the image map", () => {
  test("knows the images of published samples", () => {
    const istio = "registry.istio.io/release";
    const rows: [Partial<Container>, string[]][] = [
      [
        { image: `${istio}/examples-bookinfo-reviews-v2:1.20.3` },
        ["node", "bookinfo.ts", "reviews", "v2"],
      ],
      [
        { image: `${istio}/examples-bookinfo-productpage-v1:1.20.3` },
        ["node", "bookinfo.ts", "productpage", "v1"],
      ],
      [{ image: `${istio}/examples-helloworld-v1:1.0` }, ["node", "helloworld.ts", "v1"]],
      [
        { image: `${istio}/tcp-echo-server:1.3`, args: ["9000,9001", "one"] },
        ["node", "tcp-echo.ts", "9000,9001", "one"],
      ],
      [
        { image: "docker.io/curlimages/curl:8.16.0", command: ["/bin/sleep", "infinity"] },
        ["sleep", "infinity"],
      ],
      [
        { image: "docker.io/mccutchen/go-httpbin:v2.15.0", command: ["gunicorn", "httpbin:app"] },
        ["node", "httpbin.ts"],
      ],
      [{ image: "heddle.dev/echo-service" }, ["node", "echo-service.ts"]],
      [{ image: "localhost:5000/busybox" }, ["sleep", "infinity"]],
    ];
    for (const [container, argv] of rows) assert.deepEqual(argvOf(container), argv);
  });

  test("does not guess at an image that it does not know", () => {
    assert.equal(
      argvOf({ image: "example.com/mine:1", command: ["/srv/mine"] }),
      "no command stands for image example.com/mine:1 of container app: give one with heddle lab up --images FILE",
    );
  });

  test("of a user comes before the built-in one", () => {
    const own = parseImageMap(
      'images: [{ match: "*/curlimages/curl", command: [mine, "-x"], env: { A: "1" } }]',
      "mine.yaml",
    );
    assert.deepEqual(
      commandOf({ name: "app", image: "docker.io/curlimages/curl:1", args: ["y"] }, [
        ...own,
        ...builtInImages,
      ]),
      { argv: ["mine", "-x", "y"], env: { A: "1" } },
    );
  });

  test("says what is wrong with a user's file, and where", () => {
    const rows: [string, RegExp][] = [
      ["images: {}", /mine.yaml: images: want a list/],
      ["images: [{ command: [a] }]", /mine.yaml: images\[0\].match: want a pattern, got undefined/],
      [
        "images: [{ match: a, command: b }]",
        /images\[0\].command: want a list of strings, got "b"/,
      ],
      ["images: [", /mine.yaml: .*line 1/s],
    ];
    for (const [text, error] of rows) {
      assert.throws(
        () => parseImageMap(text, "mine.yaml"),
        (thrown) => {
          const cause = thrown instanceof Error ? thrown.cause : undefined;
          assert.match(`${String(thrown)}: ${String(cause)}`, error);
          return true;
        },
      );
    }
  });
});
