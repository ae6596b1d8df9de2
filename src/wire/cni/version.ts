/**
 * Versions of the CNI specification that Heddle answers in: all there are. `heddle-cni.c` answers VERSION without an
 * agent and has the same list; its test compares both.
 */

export const supportedVersions: readonly string[] = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
  "1.1.0",
];

/** The newest; what errors are written in when the request's own version is unknown. */
export const currentVersion = "1.1.0";

/** Whether `version` is `least` or newer. Both are supported versions, which sort as listed. */
export function isAtLeast(version: string, least: string): boolean {
  return supportedVersions.indexOf(version) >= supportedVersions.indexOf(least);
}

/** The answer to VERSION. The specification wants the request's own version; unknown ones get the newest. */
export function encodeVersions(requested: string | undefined): string {
  const cniVersion =
    requested !== undefined && supportedVersions.includes(requested) ? requested : currentVersion;
  return JSON.stringify({ cniVersion, supportedVersions });
}
