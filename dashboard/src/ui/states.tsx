/** What stands where content will be, cannot be, or is old. */

import type { ReactElement, ReactNode } from "react";
import type { ServerError } from "../data/ask.ts";
import type { View } from "../data/use-view.ts";
import { formatAge } from "../format.ts";
import { Icon } from "./icon.tsx";
import { useNow } from "./use-now.ts";

/** The shape of what is coming. */
export function Skeleton({ rows = 4 }: { readonly rows?: number }): ReactElement {
  return (
    <div className="skeleton" role="status" aria-label="loading">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
        <div className="skeleton-row" key={row} />
      ))}
    </div>
  );
}

export function Empty({
  title,
  children,
}: {
  readonly title: string;
  readonly children?: ReactNode;
}): ReactElement {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

export function Problem({ error }: { readonly error: ServerError }): ReactElement {
  return (
    <div className="problem" role="alert">
      <Icon name="warning" />
      <div>
        <p className="problem-title">
          {error.code === 404 ? "There is no such thing" : "This could not be loaded"}
        </p>
        <p>{error.message}</p>
      </div>
    </div>
  );
}

/** The value of a view, or what stands in its place; a value that could not be renewed is marked with its age. */
export function Shown<T>({
  view,
  rows,
  children,
}: {
  readonly view: View<T>;
  readonly rows?: number;
  readonly children: (value: T) => ReactNode;
}): ReactElement {
  if (view.value === undefined) {
    return view.error === undefined ? (
      <Skeleton {...(rows !== undefined && { rows })} />
    ) : (
      <Problem error={view.error} />
    );
  }
  return (
    <>
      {view.error !== undefined && <Stale receivedAt={view.receivedAt} error={view.error} />}
      {children(view.value)}
    </>
  );
}

function Stale({
  receivedAt,
  error,
}: {
  readonly receivedAt: number | undefined;
  readonly error: ServerError;
}): ReactElement {
  const now = useNow();
  return (
    <p className="stale" role="status">
      <Icon name="warning" />
      <span>
        From {formatAge(now - (receivedAt ?? now))}: {error.message}.
      </span>
    </p>
  );
}

/** In place of what the live graph will fill. */
export function NoGraph({ isAway }: { readonly isAway: boolean }): ReactElement {
  if (!isAway) return <Skeleton rows={8} />;
  return (
    <Empty title="The server does not answer">
      <p>
        Trying again each second. Is it running? In a lab: <Command>heddle lab status</Command>
      </p>
    </Empty>
  );
}

/** A command to type, as it is typed. */
export function Command({ children }: { readonly children: string }): ReactElement {
  return <code className="command">{children}</code>;
}
