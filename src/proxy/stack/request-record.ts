/**
 * What filters have decided about a request, and what has become of it: the half of an exchange that is told.
 *
 * Filters write the first part on the request's way in. Metrics, logs and taps read all of it when the exchange is
 * over. As with what was asked (request.ts), the exchange is its own record: nobody goes through another object.
 *
 * Not here: how the exchange gets from the one to the other, and what it needs for that (exchange.ts).
 */

import type { Target } from "../codec/target.ts";
import { type CompiledEdit, earlyLines } from "../config/header-edits.ts";
import type { CompiledRoute } from "../config/route-table.ts";
import type { TracePlace } from "../filter/tracing.ts";
import type { SubsetName } from "../upstream/balancer/subsets.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import type { Host } from "../upstream/host.ts";
import { httpStatusOf, knownGrpcStatus } from "./grpc-status.ts";
import type { Head } from "./head.ts";
import type { DownstreamLeg } from "./legs.ts";
import type { ResponseFlag } from "./outcome.ts";
import { ReceivedRequest } from "./request.ts";

export class RequestRecord extends ReceivedRequest {
  route: CompiledRoute | undefined = undefined;
  cluster: ClusterRuntime | undefined = undefined;
  /** The one that has it, or had it last. */
  host: Host | undefined = undefined;
  responseEdit: CompiledEdit | undefined = undefined;
  #lateLines: (() => string) | undefined = undefined;
  /** Complete lines that the sidecar's own answers to this request carry. */
  localFields = "";
  /** What such an answer says to a call of gRPC; undefined: what its status of HTTP is there. */
  localGrpcStatus: string | undefined = undefined;
  /** Requests that the application had under way when this one arrived; of inbound ones. */
  foundUnderWay = 0;
  /** What consistent hashing picks by. */
  hashKey: number | undefined = undefined;
  /** The part of the cluster's hosts that its route means. */
  subset: SubsetName | undefined = undefined;
  /** Its place in its trace, where that is followed. */
  trace: TracePlace | undefined = undefined;

  /** 0: it is not over. */
  endedAt = 0;
  /** 0: the client left before there was one. */
  status = 0;
  flag: ResponseFlag = "-";
  details = "via_upstream";
  requestBytes: number;
  /** Heads included, as `requestBytes`. */
  responseBytes = 0;
  /** What of them was head and trailers. */
  responseHeadBytes = 0;
  grpcStatus = "";
  /** The answer to a call of gRPC has begun, and is to say at its end how the call went. */
  owesGrpcStatus = false;

  constructor(
    downstream: DownstreamLeg,
    head: Head,
    text: string,
    target: Target,
    host: string,
    startedAt: number,
  ) {
    super(downstream, head, text, target, host, startedAt);
    this.requestBytes = head.headEnd;
  }

  /** While the request's bytes are in place: what the edit says of it is made now. */
  editResponse(edit: CompiledEdit | undefined): void {
    if (edit === undefined) return;
    this.#lateLines = edit.formattedLate?.(this);
    if (this.responseEdit === undefined && edit.formatted === undefined) this.responseEdit = edit;
    else this.addResponseLines(earlyLines(edit, this), [...edit.dropped]);
  }

  /** The answer is known: what the edit says of that is made. */
  completeResponseEdit(): void {
    if (this.#lateLines === undefined) return;
    this.addResponseLines(this.#lateLines());
    this.#lateLines = undefined;
  }

  /** Puts complete lines, each with its CRLF, into the answer, and takes the fields named (lower case) out of it. */
  addResponseLines(lines: string, dropped: readonly string[] = []): void {
    const edit = this.responseEdit;
    this.responseEdit = {
      dropped: new Set([...(edit?.dropped ?? []), ...dropped]),
      lines: (edit?.lines ?? "") + lines,
      authority: edit?.authority,
    };
  }

  noteGrpcStatus(text: string | undefined): void {
    this.grpcStatus = knownGrpcStatus(text);
  }

  /** What the answer counts as where success is judged by HTTP's statuses: a failed call of gRPC has status 200, too. */
  outcome(status: number): number {
    return this.grpcStatus === "" ? status : httpStatusOf(this.grpcStatus);
  }
}
