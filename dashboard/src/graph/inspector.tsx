/** Beside the picture: what is selected in full, or all connections as a list, which is the picture for who cannot see it. */

import type { ReactElement, ReactNode } from "react";
import type { GraphEdge, GraphNode, TrafficGraph } from "../../../src/model/observation.ts";
import { formatMs, formatRate, formatShare, unknown } from "../format.ts";
import { goTo, hrefOf, serviceNamed } from "../route.ts";
import { EdgeSecurity, edgeRate } from "../ui/edge-words.tsx";
import { sortedEdges } from "../ui/edges-table.tsx";
import { HealthBadge, HealthIcon } from "../ui/health.tsx";
import { Icon } from "../ui/icon.tsx";
import { Versions } from "../ui/versions.tsx";

export function Inspector({
  graph,
  selected,
}: {
  readonly graph: TrafficGraph;
  readonly selected: string | undefined;
}): ReactElement {
  const edge = graph.edges.find(({ id }) => id === selected);
  const node = graph.nodes.find(({ id }) => id === selected);
  return (
    <aside className="inspector" aria-label="Details">
      {edge !== undefined ? (
        <EdgeDetails edge={edge} graph={graph} />
      ) : node !== undefined ? (
        <NodeDetails node={node} graph={graph} />
      ) : (
        <>
          <h2>Connections</h2>
          <EdgeList edges={graph.edges} />
        </>
      )}
    </aside>
  );
}

function EdgeList({ edges }: { readonly edges: readonly GraphEdge[] }): ReactElement {
  if (edges.length === 0) return <p className="dim">None in this span.</p>;
  return (
    <ul className="edge-list">
      {sortedEdges(edges).map((edge) => (
        <li key={edge.id}>
          <a href={hrefOf({ page: "graph", selected: edge.id })}>
            <HealthIcon health={edge.health} />
            <span className="edge-list-ends">
              <Party id={edge.source} /> <Icon name="arrow" /> <Party id={edge.destination} />
            </span>
            <span className="edge-list-rate">{edgeRate(edge)}</span>
            <span className="edge-list-quality">
              {edge.dropReason ??
                (edge.protocol === "tcp" || edge.health === "idle"
                  ? edge.protocol.toUpperCase()
                  : `${formatShare(edge.signals.successShare)} · p99 ${formatMs(edge.signals.p99Ms)}`)}
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}

function EdgeDetails({
  edge,
  graph,
}: {
  readonly edge: GraphEdge;
  readonly graph: TrafficGraph;
}): ReactElement {
  const { signals } = edge;
  const codes = Object.entries(signals.codesPerSecond).filter(([, rate]) => rate > 0);
  return (
    <>
      <Head
        title={
          <>
            <Party id={edge.source} /> <Icon name="arrow" /> <Party id={edge.destination} />
          </>
        }
      />
      <p>
        <HealthBadge health={edge.health} />
      </p>
      {edge.dropReason !== undefined && <p className="callout">{edge.dropReason}</p>}
      <dl className="facts">
        <Fact name="Rate">{edgeRate(edge)}</Fact>
        {edge.protocol !== "tcp" && (
          <>
            <Fact name="Success">{formatShare(signals.successShare)}</Fact>
            <Fact name="Latency p50">{formatMs(signals.p50Ms)}</Fact>
            <Fact name="p90">{formatMs(signals.p90Ms)}</Fact>
            <Fact name="p99">{formatMs(signals.p99Ms)}</Fact>
            <Fact name="Retries">{formatRate(signals.retriesPerSecond, "/s")}</Fact>
          </>
        )}
        <Fact name="mTLS">
          <EdgeSecurity edge={edge} />
        </Fact>
        <Fact name="Protocol">{edge.protocol.toUpperCase()}</Fact>
        <Fact name="Refused packets">{formatRate(edge.dropsPerSecond, "/s")}</Fact>
      </dl>
      {codes.length > 0 && edge.protocol !== "tcp" && (
        <>
          <h3>Answers</h3>
          <dl className="facts">
            {codes.map(([code, rate]) => (
              <Fact key={code} name={code === "0" ? "none came" : code}>
                {formatRate(rate, "/s")}
              </Fact>
            ))}
          </dl>
        </>
      )}
      {Object.keys(edge.versions).length > 1 && (
        <>
          <h3>Versions</h3>
          <Versions shares={edge.versions} />
        </>
      )}
      <OpenService id={edge.destination} graph={graph} />
    </>
  );
}

function NodeDetails({
  node,
  graph,
}: {
  readonly node: GraphNode;
  readonly graph: TrafficGraph;
}): ReactElement {
  const { signals, pods, readyPods } = node;
  return (
    <>
      <Head title={<Party id={node.id} />} />
      <p>
        <HealthBadge health={node.health} />
      </p>
      <dl className="facts">
        <Fact name="Serves">{formatRate(signals.requestsPerSecond)}</Fact>
        <Fact name="Success">{formatShare(signals.successShare)}</Fact>
        <Fact name="Latency p50">{formatMs(signals.p50Ms)}</Fact>
        <Fact name="p99">{formatMs(signals.p99Ms)}</Fact>
        <Fact name="Pods ready">{pods === 0 ? unknown : `${readyPods} of ${pods}`}</Fact>
        <Fact name="Sidecar">{node.hasSidecar ? "yes" : "no"}</Fact>
      </dl>
      <OpenService id={node.id} graph={graph} />
      <h3>Called by</h3>
      <EdgeList edges={graph.edges.filter(({ destination }) => destination === node.id)} />
      <h3>Calls</h3>
      <EdgeList edges={graph.edges.filter(({ source }) => source === node.id)} />
    </>
  );
}

function Head({ title }: { readonly title: ReactNode }): ReactElement {
  return (
    <div className="inspector-head">
      <h2>{title}</h2>
      <button
        type="button"
        className="quiet"
        aria-label="Close"
        onClick={() => goTo({ page: "graph" })}
      >
        <Icon name="cross" />
      </button>
    </div>
  );
}

function OpenService({
  id,
  graph,
}: {
  readonly id: string;
  readonly graph: TrafficGraph;
}): ReactElement | null {
  const service = serviceNamed(id);
  const isService = graph.nodes.some((node) => node.id === id && node.kind === "service");
  if (service === undefined || !isService) return null;
  return (
    <p className="inspector-open">
      <a className="button" href={hrefOf({ page: "service", service })}>
        Open {service.name} <Icon name="arrow" />
      </a>
      <a className="button" href={hrefOf({ page: "forecast", service })}>
        Forecast <Icon name="forecast" />
      </a>
    </p>
  );
}

function Fact({
  name,
  children,
}: {
  readonly name: string;
  readonly children: ReactNode;
}): ReactElement {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Party({ id }: { readonly id: string }): ReactElement {
  const service = serviceNamed(id);
  if (service === undefined) return <span>{id}</span>;
  return (
    <span>
      <span className="dim">{service.namespace}/</span>
      {service.name}
    </span>
  );
}
