/** The endpoints of a service; one of them in full where its address says so. */

import type { ReactElement } from "react";
import type { EndpointView, ServiceView } from "../../../src/model/observation.ts";
import { formatMs, formatRate, formatShare, plural } from "../format.ts";
import { hrefOf, type Route } from "../route.ts";
import { Icon } from "../ui/icon.tsx";
import { Section } from "../ui/section.tsx";
import { Command, Empty } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";

type ServiceRoute = Extract<Route, { readonly page: "service" }>;

export function Endpoints({
  view,
  route,
}: {
  readonly view: ServiceView;
  readonly route: ServiceRoute;
}): ReactElement {
  const { endpoints } = view;
  const ready = endpoints.filter(({ isReady }) => isReady).length;
  const selected = endpoints.find(({ pod }) => pod === route.endpoint);
  return (
    <Section
      title="Endpoints"
      note={
        endpoints.length === 0
          ? undefined
          : `${ready} of ${plural(endpoints.length, "endpoint")} ready`
      }
    >
      {endpoints.length === 0 ? (
        <Empty title="No endpoints">
          <p>No pod matches the selector of this Service: callers are refused at once.</p>
        </Empty>
      ) : (
        <Table
          label="Endpoints"
          columns={columnsFor(route)}
          rows={endpoints}
          keyOf={keyOf}
          isSelected={(endpoint) => endpoint === selected}
        />
      )}
      {selected !== undefined && <Endpoint endpoint={selected} route={route} />}
      {selected === undefined && route.endpoint !== undefined && (
        <p className="none">The endpoint {route.endpoint} is gone.</p>
      )}
    </Section>
  );
}

function columnsFor(route: ServiceRoute): readonly Column<EndpointView>[] {
  return [
    {
      name: "Pod",
      cell: ({ pod }) => (
        <a
          href={hrefOf({ ...route, endpoint: pod })}
          aria-current={pod === route.endpoint ? "true" : undefined}
        >
          {pod.split("/").at(-1)}
        </a>
      ),
    },
    { name: "Ready", cell: ({ isReady }) => <Ready isReady={isReady} /> },
    {
      name: "Rate",
      isNumber: true,
      cell: ({ signals }) => formatRate(signals.requestsPerSecond),
    },
    {
      name: "Success",
      isNumber: true,
      cell: ({ signals }) => formatShare(signals.successShare),
    },
    { name: "p50", isNumber: true, isMinor: true, cell: ({ signals }) => formatMs(signals.p50Ms) },
    { name: "p99", isNumber: true, cell: ({ signals }) => formatMs(signals.p99Ms) },
    {
      name: "Busy",
      isNumber: true,
      isMinor: true,
      cell: ({ busyShare }) => formatShare(busyShare),
    },
    { name: "Version", cell: ({ version }) => version },
    {
      name: "Address",
      isMinor: true,
      cell: ({ address, port }) => <code>{hostAndPort(address, port)}</code>,
    },
    {
      name: "Node",
      cell: ({ node }) => <a href={hrefOf({ page: "nodes", node })}>{node}</a>,
    },
  ];
}

function Endpoint({
  endpoint,
  route,
}: {
  readonly endpoint: EndpointView;
  readonly route: ServiceRoute;
}): ReactElement {
  const { signals, pod, address, port, node } = endpoint;
  const { endpoint: _, ...service } = route;
  const codes = Object.entries(signals.codesPerSecond).filter(([, rate]) => rate > 0);
  return (
    <section className="endpoint" aria-label={`Endpoint ${pod}`} data-endpoint={pod}>
      <div className="endpoint-head">
        <h3>{pod}</h3>
        <a className="quiet" href={hrefOf(service)} aria-label="Close the endpoint">
          <Icon name="cross" />
        </a>
      </div>
      <dl className="endpoint-facts">
        <Fact name="Address" value={hostAndPort(address, port)} />
        <Fact name="Node" value={node} />
        <Fact name="Version" value={endpoint.version} />
        <Fact name="Sidecar" value={endpoint.hasSidecar ? "yes" : "no"} />
        <Fact name="Rate" value={formatRate(signals.requestsPerSecond)} />
        <Fact name="Success" value={formatShare(signals.successShare)} />
        <Fact
          name="p50 / p90 / p99"
          value={[signals.p50Ms, signals.p90Ms, signals.p99Ms].map(formatMs).join(" / ")}
        />
        <Fact name="Busy" value={formatShare(endpoint.busyShare)} />
        {codes.map(([code, rate]) => (
          <Fact
            key={code}
            name={code === "0" ? "No answer" : `Answers ${code}`}
            value={formatRate(rate, "/s")}
          />
        ))}
      </dl>
      <p className="dim">
        Its requests as they come: <Command>{`heddle tap ${pod}`}</Command>
      </p>
    </section>
  );
}

function Ready({ isReady }: { readonly isReady: boolean }): ReactElement {
  return (
    <span className={`badge health-${isReady ? "healthy" : "failing"}`}>
      <Icon name={isReady ? "check" : "cross"} />
      {isReady ? "ready" : "not ready"}
    </span>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }): ReactElement {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function keyOf({ pod, port }: EndpointView): string {
  return `${pod}:${port}`;
}

function hostAndPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
