/** One service: how it does now and did before, who calls it, its endpoints, the routes in force and the YAML behind them. */

import type { ReactElement } from "react";
import type { ServiceView } from "../../../src/model/observation.ts";
import { useView } from "../data/use-view.ts";
import { formatMs, formatRate, formatShare } from "../format.ts";
import { hrefOf, type Route } from "../route.ts";
import { EdgesTable } from "../ui/edges-table.tsx";
import { Icon } from "../ui/icon.tsx";
import { Section } from "../ui/section.tsx";
import { Shown } from "../ui/states.tsx";
import { Tile, Tiles } from "../ui/tile.tsx";
import { Endpoints } from "./endpoints.tsx";
import { Objects } from "./objects.tsx";
import { Routes } from "./routes.tsx";
import { Signals } from "./signals.tsx";
import "./service.css";

type ServiceRoute = Extract<Route, { readonly page: "service" }>;

const spans = [
  { seconds: 300, name: "5 min" },
  { seconds: 900, name: "15 min" },
  { seconds: 3600, name: "1 h" },
] as const;
const usualSeconds = 300;

export default function ServicePage({ route }: { readonly route: ServiceRoute }): ReactElement {
  const { service, seconds = usualSeconds } = route;
  const name = `${encodeURIComponent(service.namespace)}/${encodeURIComponent(service.name)}`;
  const view = useView<ServiceView>(`/heddle/v1/services/${name}?seconds=${seconds}`);
  return (
    <>
      <div className="title">
        <p className="trail">
          <a href={hrefOf({ page: "services" })}>Services</a> <Icon name="chevron" />{" "}
          {service.namespace}
        </p>
        <h1>{service.name}</h1>
        <span className="title-actions">
          <a
            className="button"
            href={hrefOf({ page: "graph", selected: `${service.namespace}/${service.name}` })}
          >
            <Icon name="graph" /> In the graph
          </a>
          <a className="button" href={hrefOf({ page: "forecast", service })}>
            <Icon name="forecast" /> Forecast
          </a>
        </span>
      </div>
      <Shown view={view} rows={8}>
        {(value) => <Body view={value} route={route} seconds={seconds} />}
      </Shown>
    </>
  );
}

function Body({
  view,
  route,
  seconds,
}: {
  readonly view: ServiceView;
  readonly route: ServiceRoute;
  readonly seconds: number;
}): ReactElement {
  const { now } = view;
  const success = now.successShare;
  return (
    <>
      <p className="address">
        <code>{view.host}</code>
        {view.clusterAddress !== undefined && <code>{view.clusterAddress}</code>}
        {view.ports.map(({ name, port, protocol }) => (
          <span key={`${name}${port}`}>
            {port}
            <span className="dim">
              /{name === "" || name === protocol ? protocol : `${name} (${protocol})`}
            </span>
          </span>
        ))}
      </p>
      <Tiles>
        <Tile name="Requests" value={formatRate(now.requestsPerSecond)} />
        <Tile
          name="Success"
          value={formatShare(success)}
          tone={
            success === undefined
              ? "plain"
              : success >= 0.999
                ? "good"
                : success >= 0.95
                  ? "warn"
                  : "bad"
          }
        />
        <Tile name="Latency p50" value={formatMs(now.p50Ms)} />
        <Tile name="Latency p99" value={formatMs(now.p99Ms)} />
        <Tile name="Retries" value={formatRate(now.retriesPerSecond, "/s")} />
      </Tiles>
      <Section
        title="Golden signals"
        actions={
          <span className="choice">
            {spans.map((span) => (
              <a
                key={span.seconds}
                href={hrefOf({ ...route, seconds: span.seconds })}
                aria-current={span.seconds === seconds}
              >
                {span.name}
              </a>
            ))}
          </span>
        }
      >
        <Signals view={view} seconds={seconds} />
      </Section>
      <Endpoints view={view} route={route} />
      <Routes routes={view.routes} />
      <div className="columns">
        <Section title="Called by">
          <EdgesOrNone label="Callers" edges={view.callers} end="source" />
        </Section>
        <Section title="Calls">
          <EdgesOrNone label="Called services" edges={view.calls} end="destination" />
        </Section>
      </div>
      <Objects objects={view.objects} />
    </>
  );
}

function EdgesOrNone(props: Parameters<typeof EdgesTable>[0]): ReactElement {
  return props.edges.length === 0 ? (
    <p className="none">Nobody in this span.</p>
  ) : (
    <EdgesTable {...props} />
  );
}
