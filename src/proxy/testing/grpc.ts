/** A gRPC application and its client for tests, both of grpc-js, with bytes as messages. */

import {
  Client,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type MethodDefinition,
  Server,
  ServerCredentials,
} from "@grpc/grpc-js";
import type { Harness } from "./harness.ts";

const asIs = (bytes: Buffer): Buffer => bytes;
const bytes = {
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
};

type Method = MethodDefinition<Buffer, Buffer>;

export const service: Readonly<Record<"unary" | "upload" | "download" | "chat", Method>> = {
  unary: { path: "/test.Echo/Unary", requestStream: false, responseStream: false, ...bytes },
  upload: { path: "/test.Echo/Upload", requestStream: true, responseStream: false, ...bytes },
  download: { path: "/test.Echo/Download", requestStream: false, responseStream: true, ...bytes },
  chat: { path: "/test.Echo/Chat", requestStream: true, responseStream: true, ...bytes },
};

export interface EchoHandlers {
  readonly unary?: handleUnaryCall<Buffer, Buffer>;
  readonly upload?: handleClientStreamingCall<Buffer, Buffer>;
  readonly download?: handleServerStreamingCall<Buffer, Buffer>;
  readonly chat?: handleBidiStreamingCall<Buffer, Buffer>;
}

const maxBytes = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

/** Answers the application's port. */
export async function grpcApp(harness: Harness, handlers: EchoHandlers): Promise<number> {
  const server = new Server(maxBytes);
  server.addService(service, { ...handlers });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  harness.atEnd(() => server.forceShutdown());
  return port;
}

export function grpcClient(harness: Harness, port: number): Client {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    ...maxBytes,
    "grpc.default_authority": "cart",
    "grpc.enable_retries": 0,
  });
  harness.atEnd(() => client.close());
  return client;
}
