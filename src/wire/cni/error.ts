/** Errors of the Container Network Interface: the numbers that runtimes act on, and the JSON that carries them. */

import { MeshError, renderError } from "../../base/error.ts";

/** CNI 1.1.0 §5 and libcni; 100 and up are the plugin's own. */
export const cniCodes = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  /** The container has this interface already. */
  attachmentExists: 100,
  /** CHECK found the container's network other than it was given. */
  checkFailed: 101,
  /** Another pod of the node has the host port. */
  hostPortTaken: 102,
  internal: 999,
} as const;

export type CniCode = (typeof cniCodes)[keyof typeof cniCodes];

const names = new Map<number, string>(
  Object.entries(cniCodes).map(([name, code]) => [
    code,
    name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`),
  ]),
);

/** An error that the runtime sees; `code` is `cni.` and the name of the number. */
export class CniError extends MeshError {
  readonly cniCode: CniCode;
  readonly details: string;

  constructor(
    cniCode: CniCode,
    message: string,
    options: { readonly details?: string; readonly cause?: unknown } = {},
  ) {
    super(`cni.${names.get(cniCode)}`, message, {
      cause: options.cause,
      fault: cniCode === cniCodes.internal ? "heddle" : "user",
      retryable: cniCode === cniCodes.tryAgainLater,
    });
    this.cniCode = cniCode;
    this.details = options.details ?? "";
  }
}

/** Any error as the JSON for standard output. What is not a CniError is 999, or 11 where trying again may help. */
export function encodeError(error: unknown, cniVersion: string): string {
  const msg = renderError(error);
  if (error instanceof CniError) {
    return render(cniVersion, error.cniCode, msg, error.details);
  }
  const retryable = error instanceof MeshError && error.retryable;
  const details = error instanceof MeshError ? error.code : "";
  return render(cniVersion, retryable ? cniCodes.tryAgainLater : cniCodes.internal, msg, details);
}

function render(cniVersion: string, code: number, msg: string, details: string): string {
  return JSON.stringify({ cniVersion, code, msg, ...(details === "" ? {} : { details }) });
}
