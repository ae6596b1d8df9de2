/**
 * Libnftables in process: text in, one transaction, the library's own words where it refuses.
 *
 * A context holds a netlink socket, so it belongs to the namespace in which it was made. Making one costs about
 * 0.1 ms, a small transaction about 0.7 ms; a spawned `nft` costs 5 ms.
 */

import { closeSync, readdirSync, writeSync } from "node:fs";
import { MeshError } from "../base/error.ts";
import { AF_NETLINK, libc, loadLibrary, once, SOL_SOCKET } from "./ffi.ts";

/** A C pointer, as the FFI hands it out. */
type Pointer = unknown;

interface Libnftables {
  create(flags: number): Pointer;
  free(context: Pointer): void;
  bufferOutput(context: Pointer): number;
  bufferErrors(context: Pointer): number;
  errors(context: Pointer): string;
  output(context: Pointer): string;
  setOutputFlags(context: Pointer, flags: number): void;
  setDryRun(context: Pointer, dry: boolean): void;
  run(context: Pointer, text: string): number;
  runInBackground(context: Pointer, text: string, done: (status: number) => void): void;
  runFile(context: Pointer, path: string): number;
}

const longestMessage = 2000; // nft repeats the offending line, which may hold ten thousand elements

const NFT_CTX_OUTPUT_TERSE = 1 << 11;

export class NftContext {
  readonly #context: Pointer;
  readonly #library: Libnftables;

  /** Makes a context in the thread's present namespace. */
  constructor() {
    this.#library = libnftables();
    this.#context = this.#library.create(0);
    closeNetlinkOnExec();
    if (this.#library.bufferOutput(this.#context) || this.#library.bufferErrors(this.#context)) {
      throw new MeshError("kernel.nft.open", "open nftables context: out of memory", {
        fault: "host",
      });
    }
  }

  /**
   * Commits `text` as one transaction; throws MeshError `kernel.nft.refused` with nft's message. The kernel gives a
   * transaction up in which a signal arrives, such as that a child process ended: another thread takes those.
   */
  run(text: string): void {
    if (libc().undisturbed(() => this.#library.run(this.#context, text)) === 0) return;
    const message = this.#library.errors(this.#context);
    throw new MeshError("kernel.nft.refused", "commit nftables transaction", {
      cause: new Error(this.#located(text) ?? trimmed(message)),
      fault: "host",
    });
  }

  /**
   * Declarations and rules of table `inet <table>` as nft prints them, without elements; undefined where there is no
   * such table. All tables of the family are listed, because for a single one nft 1.0.6 reads all elements as well,
   * only to leave them out: with 10 000 Services 0.8 s of processor time, for 0.01 s.
   */
  list(table: string): string | undefined {
    this.#library.setOutputFlags(this.#context, NFT_CTX_OUTPUT_TERSE);
    if (this.#library.run(this.#context, "list ruleset inet") !== 0) return undefined;
    const listing = `\n${this.#library.output(this.#context)}`;
    const from = listing.indexOf(`\ntable inet ${table} {\n`);
    return from < 0 ? undefined : listing.slice(from + 1, listing.indexOf("\n}\n", from) + 3);
  }

  /**
   * What any listing command prints, without elements, on a thread of Node's pool; "" where the kernel refuses. Nothing
   * else may use the context meanwhile.
   */
  listInBackground(command: string): Promise<string> {
    this.#library.setOutputFlags(this.#context, NFT_CTX_OUTPUT_TERSE);
    return new Promise((resolve) => {
      this.#library.runInBackground(this.#context, command, (status) => {
        const output = this.#library.output(this.#context);
        this.#library.errors(this.#context);
        resolve(status === 0 ? output : "");
      });
    });
  }

  /** Like `run`, but the kernel only checks and changes nothing. */
  check(text: string): void {
    this.#dry(() => this.run(text));
  }

  /**
   * What is wrong with a text and on which line; undefined where a second look finds nothing. Of a text in memory the
   * library tells no line and shows the first whatever is wrong, so it is given the text once more, as a file.
   */
  #located(text: string): string | undefined {
    const file = libc().memfd("heddle-nft");
    try {
      writeSync(file, text);
      const path = `/proc/self/fd/${file}`;
      const status = this.#dry(() => this.#library.runFile(this.#context, path));
      if (status === 0) return undefined;
      return trimmed(this.#library.errors(this.#context).replaceAll(`${path}:`, "line "));
    } finally {
      closeSync(file);
    }
  }

  #dry<T>(action: () => T): T {
    this.#library.setDryRun(this.#context, true);
    try {
      return action();
    } finally {
      this.#library.setDryRun(this.#context, false);
    }
  }

  close(): void {
    this.#library.free(this.#context);
  }
}

const libnftables: () => Libnftables = once(() => {
  const library = loadLibrary("libnftables.so.1", "libnftables1");
  const create = library.func("void *nft_ctx_new(uint32_t)");
  const free = library.func("void nft_ctx_free(void *)");
  const bufferOutput = library.func("int nft_ctx_buffer_output(void *)");
  const bufferErrors = library.func("int nft_ctx_buffer_error(void *)");
  const errors = library.func("const char *nft_ctx_get_error_buffer(void *)");
  const output = library.func("const char *nft_ctx_get_output_buffer(void *)");
  const setOutputFlags = library.func("void nft_ctx_output_set_flags(void *, unsigned int)");
  const setDryRun = library.func("void nft_ctx_set_dry_run(void *, bool)");
  const run = library.func("int nft_run_cmd_from_buffer(void *, const char *)");
  const runFile = library.func("int nft_run_cmd_from_filename(void *, const char *)");
  return {
    create: (flags) => create(flags),
    free: (context) => free(context),
    bufferOutput: (context) => bufferOutput(context),
    bufferErrors: (context) => bufferErrors(context),
    errors: (context) => errors(context),
    output: (context) => output(context),
    setOutputFlags: (context, flags) => setOutputFlags(context, flags),
    setDryRun: (context, dry) => setDryRun(context, dry),
    run: (context, text) => run(context, text),
    runInBackground: (context, text, done) =>
      run.async(context, text, (error: unknown, status: number) => done(error ? -1 : status)),
    runFile: (context, path) => runFile(context, path),
  };
});

const SO_DOMAIN = 39;

function trimmed(message: string): string {
  return message.trim().slice(0, longestMessage) || "nft gave no reason";
}

/** The library opens its socket without close-on-exec; a sidecar that inherited it would keep the namespace alive. */
function closeNetlinkOnExec(): void {
  for (const name of readdirSync("/proc/self/fd")) {
    if (isNetlink(Number(name))) libc().closeOnExec(Number(name));
  }
}

function isNetlink(fd: number): boolean {
  const value = new Uint8Array(4);
  const known = libc().getsockopt(fd, SOL_SOCKET, SO_DOMAIN, value, Uint8Array.of(4, 0, 0, 0));
  return known && value[0] === AF_NETLINK;
}
