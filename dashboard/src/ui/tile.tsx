/** One number with its name: what is read first on a page. */

import type { ReactElement, ReactNode } from "react";

export type Tone = "plain" | "good" | "warn" | "bad";

export function Tile({
  name,
  value,
  detail,
  tone = "plain",
}: {
  readonly name: string;
  readonly value: ReactNode;
  readonly detail?: ReactNode;
  readonly tone?: Tone;
}): ReactElement {
  return (
    <div className={`tile tile-${tone}`}>
      <dt>{name}</dt>
      <dd>
        <span className="tile-value">{value}</span>
        {detail !== undefined && <span className="tile-detail">{detail}</span>}
      </dd>
    </div>
  );
}

export function Tiles({ children }: { readonly children: ReactNode }): ReactElement {
  return <dl className="tiles">{children}</dl>;
}
