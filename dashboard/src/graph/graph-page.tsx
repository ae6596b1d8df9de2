/** The live graph: sums above, the picture, and beside it what is selected, or all connections with the worst first. */

import type { ReactElement } from "react";
import { useLive } from "../data/live.ts";
import { Command, Empty, Skeleton } from "../ui/states.tsx";
import { GraphCanvas } from "./graph-canvas.tsx";
import { Inspector } from "./inspector.tsx";
import { Totals } from "./totals.tsx";
import "./graph.css";

export default function GraphPage({
  selected,
}: {
  readonly selected: string | undefined;
}): ReactElement {
  const { graph, state } = useLive();
  return (
    <>
      <h1 className="visually-hidden">Service graph</h1>
      {graph === undefined ? (
        <Waiting isAway={state === "away"} />
      ) : (
        <>
          <Totals graph={graph} />
          {graph.nodes.length === 0 ? (
            <Empty title="No traffic yet">
              <p>
                Send some: <Command>heddle lab curl visitor http://web/</Command>. It is here within
                two seconds.
              </p>
            </Empty>
          ) : (
            <div className={`graph ${state === "away" ? "is-old" : ""}`}>
              <GraphCanvas graph={graph} selected={selected} />
              <Inspector graph={graph} selected={selected} />
            </div>
          )}
        </>
      )}
    </>
  );
}

function Waiting({ isAway }: { readonly isAway: boolean }): ReactElement {
  return isAway ? (
    <Empty title="The server does not answer">
      <p>
        Trying again each second. Is it running? In a lab: <Command>heddle lab status</Command>
      </p>
    </Empty>
  ) : (
    <Skeleton rows={8} />
  );
}
