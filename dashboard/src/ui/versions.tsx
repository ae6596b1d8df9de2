/** How requests divide between versions: a bar of parts, each with its name and share in words. */

import type { ReactElement } from "react";
import { formatShare } from "../format.ts";

/** In one order whatever their shares, so that parts do not change places. Nothing where there is but one. */
export function Versions({
  shares,
}: {
  readonly shares: Readonly<Record<string, number>>;
}): ReactElement | null {
  const parts = Object.entries(shares)
    .filter(([version, share]) => version !== "-" && share > 0)
    .sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  if (parts.length < 2) return null;
  return (
    <span className="versions">
      <span className="versions-bar" aria-hidden="true">
        {parts.map(([version, share], index) => (
          <i key={version} className={`part-${index % 4}`} style={{ flexGrow: share }} />
        ))}
      </span>
      <span className="versions-words">
        {parts.map(([version, share], index) => (
          <span key={version}>
            <i className={`dot part-${index % 4}`} aria-hidden="true" />
            {version} {formatShare(share)}
          </span>
        ))}
      </span>
    </span>
  );
}
