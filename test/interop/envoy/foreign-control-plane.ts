/**
 * A delta ADS server as others write them: grpc-js, Envoy's own messages, clusters and listeners to who asks for all of
 * them, everything else to who asks for it by name. It knows nothing of Heddle.
 */

import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type protobuf from "protobufjs";
import { loadEnvoySchema } from "../../worlds/envoy-schema.ts";
import { type Message, type TypeName, types } from "./messages.ts";

const prefix = "type.googleapis.com/";

interface Request {
  readonly type_url: string;
  readonly resource_names_subscribe?: readonly string[];
  readonly resource_names_unsubscribe?: readonly string[];
  readonly initial_resource_versions?: Readonly<Record<string, string>>;
  readonly response_nonce?: string;
  readonly error_detail?: { readonly message: string };
}

/** A resource as it is sent: named as one likes, of any type, or of none. */
export interface Lie {
  readonly name: string;
  readonly version: string;
  readonly resource?: Message;
}

interface Stored {
  readonly version: string;
  readonly resource: Message;
}

interface Client {
  readonly stream: ServerDuplexStream<Request, object>;
  /** Type → names asked for. */
  readonly asked: Map<string, Set<string>>;
}

let schema: protobuf.Root | undefined;

export class ForeignControlPlane implements AsyncDisposable {
  /** `ack TYPE` and `nack TYPE: WHY`, as they came; the short names of types. */
  readonly answers: string[] = [];
  /** `TYPE name`, as clients asked by name. */
  readonly asked: string[] = [];
  readonly #stored = new Map<string, Map<string, Stored>>();
  readonly #clients = new Set<Client>();
  readonly #root: protobuf.Root;
  #server: Server | undefined;
  #versions = 0;
  #nonces = 0;
  #wake: () => void = () => {};

  constructor() {
    schema ??= loadEnvoySchema();
    this.#root = schema;
  }

  async listen(socket: string): Promise<void> {
    const server = new Server({ "grpc.max_receive_message_length": -1 });
    const request = this.#root.lookupType("envoy.service.discovery.v3.DeltaDiscoveryRequest");
    const response = this.#root.lookupType("envoy.service.discovery.v3.DeltaDiscoveryResponse");
    const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
    const delta = {
      path,
      requestStream: true,
      responseStream: true,
      requestSerialize: (value: object) => Buffer.from(request.encode(value).finish()),
      requestDeserialize: (bytes: Buffer) => request.decode(bytes) as unknown as Request,
      responseSerialize: (value: object) =>
        Buffer.from(response.encode(response.fromObject(value)).finish()),
      responseDeserialize: (bytes: Buffer) => response.decode(bytes),
    };
    const implementation: UntypedServiceImplementation = {
      delta: (stream: ServerDuplexStream<Request, object>, _?: sendUnaryData<object>) =>
        this.#serve(stream),
    };
    server.addService({ delta }, implementation);
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    this.#server = server;
  }

  /** Ends all streams; what is stored stays. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#clients.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
  }

  /** Sends these of one type to all who asked for them, in one answer. */
  set(type: TypeName, ...resources: readonly Message[]): void {
    const named = this.#stored.get(type) ?? new Map<string, Stored>();
    this.#stored.set(type, named);
    const names: string[] = [];
    for (const resource of resources) {
      const name = String(resource["name"] ?? resource["cluster_name"]);
      named.set(name, { version: `${++this.#versions}`, resource });
      names.push(name);
    }
    for (const client of this.#clients) this.#send(client, type, names, []);
  }

  remove(type: TypeName, ...names: readonly string[]): void {
    for (const name of names) this.#stored.get(type)?.delete(name);
    for (const client of this.#clients) this.#send(client, type, [], names);
  }

  /** Sends all who asked for the type an answer that no server should give. */
  say(type: TypeName, ...resources: readonly Lie[]): void {
    for (const { stream, asked } of this.#clients) {
      if (asked.has(type)) stream.write(this.#answer(type, resources, []));
    }
  }

  /** Resolves once `isEnough`, which is asked after each word of a client. */
  async until(isEnough: () => boolean): Promise<void> {
    while (!isEnough()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #serve(stream: ServerDuplexStream<Request, object>): void {
    const client: Client = { stream, asked: new Map() };
    this.#clients.add(client);
    const forget = () => this.#clients.delete(client);
    stream.on("error", forget);
    stream.on("end", () => {
      forget();
      stream.end();
    });
    stream.on("data", (request: Request) => {
      this.#receive(client, request);
      this.#wake();
    });
  }

  #receive(client: Client, request: Request): void {
    const type = request.type_url.slice(prefix.length);
    const short = type.slice(type.lastIndexOf(".") + 1);
    if ((request.response_nonce ?? "") !== "") {
      const refusal = request.error_detail;
      this.answers.push(
        refusal === undefined || refusal === null
          ? `ack ${short}`
          : `nack ${short}: ${refusal.message}`,
      );
    }
    if (!Object.values<string>(types).includes(type)) return;
    const known = client.asked.get(type) ?? new Set<string>();
    const isFirst = !client.asked.has(type);
    client.asked.set(type, known);
    const names = request.resource_names_subscribe ?? [];
    for (const name of names) {
      known.add(name);
      if (name !== "*") this.asked.push(`${short} ${name}`);
    }
    for (const name of request.resource_names_unsubscribe ?? []) {
      known.delete(name);
      this.asked.push(`${short} -${name}`);
    }
    if (!isFirst && names.length === 0) return;
    const had = request.initial_resource_versions ?? {};
    const stored = this.#stored.get(type) ?? new Map<string, Stored>();
    const wanted = this.#isRoot(type)
      ? [...stored.keys()]
      : names.filter((name) => stored.has(name));
    const lacking = wanted.filter((name) => stored.get(name)?.version !== had[name]);
    const gone = Object.keys(had).filter((name) => !stored.has(name));
    if (lacking.length + gone.length > 0) this.#send(client, type, lacking, gone);
  }

  #isRoot(type: string): boolean {
    return type === types.cluster || type === types.listener;
  }

  #send(client: Client, type: string, names: readonly string[], removed: readonly string[]): void {
    const asked = client.asked.get(type);
    if (asked === undefined) return;
    const may = (name: string) => this.#isRoot(type) || asked.has(name);
    const resources = names.filter(may).map((name) => {
      const { version, resource } = this.#stored.get(type)?.get(name) ?? {
        version: "",
        resource: {},
      };
      return { name, version, resource: { "@type": prefix + type, ...resource } };
    });
    const gone = removed.filter(may);
    if (resources.length + gone.length === 0) return;
    client.stream.write(this.#answer(type, resources, gone));
  }

  #answer(type: string, resources: readonly Lie[], removed: readonly string[]): Message {
    return {
      type_url: prefix + type,
      nonce: `${++this.#nonces}`,
      system_version_info: `${this.#versions}`,
      resources,
      removed_resources: removed,
      control_plane: { identifier: "somebody-else" },
    };
  }
}
