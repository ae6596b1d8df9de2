/** The machines: addresses and how many are used, who is at the other end of the overlay, pods and their sidecars. */

import type { ReactElement } from "react";
import type { NodesView } from "../../../src/model/observation.ts";
import { useView } from "../data/use-view.ts";
import { formatAge, plural, unknown } from "../format.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import { Shown } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { Tile, Tiles } from "../ui/tile.tsx";
import { useNow } from "../ui/use-now.ts";
import "./nodes.css";

type NodeView = NodesView["nodes"][number];
type PodView = NodeView["pods"][number];

export default function NodesPage({ node }: { readonly node: string | undefined }): ReactElement {
  const view = useView<NodesView>("/heddle/v1/nodes");
  return (
    <>
      <h1>Nodes</h1>
      <Shown view={view}>
        {({ nodes, at }) => (
          <>
            <Sums nodes={nodes} />
            <div className="nodes">
              {nodes.map((one) => (
                <NodeSection
                  key={one.name}
                  node={one}
                  skewMs={(view.receivedAt ?? at) - at}
                  isSelected={one.name === node}
                />
              ))}
            </div>
          </>
        )}
      </Shown>
    </>
  );
}

function Sums({ nodes }: { readonly nodes: readonly NodeView[] }): ReactElement {
  const pods = nodes.flatMap((one) => one.pods);
  const blocks = nodes.flatMap((one) => one.blocks);
  const used = sum(blocks.map((block) => block.used));
  const ready = nodes.filter(({ isReady }) => isReady).length;
  const readyPods = pods.filter(({ isReady }) => isReady).length;
  const sidecars = pods.filter(({ sidecar }) => sidecar === "ready").length;
  return (
    <Tiles>
      <Tile
        name="Nodes ready"
        value={`${ready} of ${nodes.length}`}
        tone={ready < nodes.length ? "bad" : "plain"}
      />
      <Tile
        name="Pods ready"
        value={`${readyPods} of ${pods.length}`}
        tone={readyPods < pods.length ? "warn" : "plain"}
      />
      <Tile name="Sidecars" value={`${sidecars} of ${plural(pods.length, "pod")}`} />
      <Tile
        name="Addresses used"
        value={String(used)}
        detail={`of ${sum(blocks.map((block) => block.size))} in ${plural(blocks.length, "block")}`}
      />
    </Tiles>
  );
}

function NodeSection({
  node,
  skewMs,
  isSelected,
}: {
  readonly node: NodeView;
  /** This browser's clock less the server's. */
  readonly skewMs: number;
  readonly isSelected: boolean;
}): ReactElement {
  const { name, address, isReady, blocks, peers, pods } = node;
  return (
    <section className={`section node ${isSelected ? "is-selected" : ""}`} aria-label={name}>
      <header className="section-head">
        <h2>{name}</h2>
        <State isGood={isReady} word={isReady ? "ready" : "not ready"} />
        <code>{address}</code>
        <ReportAge reportedAt={node.reportedAt} skewMs={skewMs} />
      </header>
      <div className="node-net">
        <div>
          <h3>Address blocks</h3>
          {blocks.length === 0 && <p className="dim">None yet: the first pod takes one.</p>}
          {blocks.map(({ cidr, used, size }) => (
            <div className="block" key={cidr}>
              <code>{cidr}</code>
              <meter
                min={0}
                max={size}
                value={used}
                high={size * 0.9}
                aria-label={`addresses of ${cidr} in use`}
              />
              <span className="dim">
                {used} of {size}
              </span>
            </div>
          ))}
        </div>
        <div>
          <h3>Overlay peers</h3>
          {peers.length === 0 && <p className="dim">None: it is the only node.</p>}
          <ul>
            {peers.map((peer) => (
              <li className="peer" key={peer.node}>
                <Icon name="cable" />
                <b>{peer.node}</b> <code>{peer.address}</code>{" "}
                <span className="dim">{peer.encap}</span>
              </li>
            ))}
          </ul>
        </div>
      </div>
      {pods.length === 0 ? (
        <p className="none-here">No pods.</p>
      ) : (
        <Table label={`Pods of ${name}`} columns={columns} rows={pods} keyOf={({ pod }) => pod} />
      )}
    </section>
  );
}

const columns: readonly Column<PodView>[] = [
  {
    name: "Pod",
    cell: ({ pod }) => {
      const [namespace, name] = pod.split("/");
      return (
        <>
          <span className="dim">{namespace}/</span>
          {name}
        </>
      );
    },
  },
  {
    name: "State",
    cell: ({ isReady, phase }) => <State isGood={isReady} word={isReady ? "ready" : phase} />,
  },
  { name: "Address", cell: ({ address }) => <code>{address ?? unknown}</code> },
  { name: "Sidecar", cell: ({ sidecar }) => <Sidecar state={sidecar} /> },
];

const sidecars: Readonly<Record<PodView["sidecar"], readonly [IconName, string, string]>> = {
  ready: ["check", "ready", "healthy"],
  none: ["idle", "none", "idle"],
  unknown: ["warning", "unknown", "degraded"],
};

function Sidecar({ state }: { readonly state: PodView["sidecar"] }): ReactElement {
  const [icon, word, health] = sidecars[state];
  return (
    <span className={`badge health-${health}`}>
      <Icon name={icon} />
      {word}
    </span>
  );
}

function State({
  isGood,
  word,
}: {
  readonly isGood: boolean;
  readonly word: string;
}): ReactElement {
  return (
    <span className={`badge health-${isGood ? "healthy" : "failing"}`}>
      <Icon name={isGood ? "check" : "cross"} />
      {word}
    </span>
  );
}

function ReportAge({
  reportedAt,
  skewMs,
}: {
  readonly reportedAt: number | undefined;
  readonly skewMs: number;
}): ReactElement {
  const now = useNow();
  return (
    <span className="section-actions section-note">
      {reportedAt === undefined
        ? "has not reported yet"
        : `reported ${formatAge(Math.max(0, now - skewMs - reportedAt))}`}
    </span>
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
