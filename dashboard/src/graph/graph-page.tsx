/** The live graph: sums above, the picture, and beside it what is selected, or all connections with the worst first. */

import type { ReactElement } from "react";
import { useLive } from "../data/live.ts";
import { Command, Empty, NoGraph } from "../ui/states.tsx";
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
        <NoGraph isAway={state === "away"} />
      ) : (
        <>
          <Totals graph={graph} />
          {graph.nodes.length === 0 ? (
            <Empty title="Nothing runs yet">
              <p>
                Bring something up: <Command>heddle lab apply my-service.yaml</Command>
              </p>
            </Empty>
          ) : (
            <div className={`graph ${state === "away" ? "is-old" : ""}`}>
              {graph.edges.length === 0 && <NoTraffic />}
              <GraphCanvas graph={graph} selected={selected} />
              <Inspector graph={graph} selected={selected} />
            </div>
          )}
        </>
      )}
    </>
  );
}

function NoTraffic(): ReactElement {
  return (
    <p className="no-traffic" role="status">
      <b>No traffic yet.</b> Send some with <Command>heddle lab curl visitor http://web/</Command>:
      it is here within two seconds.
    </p>
  );
}
