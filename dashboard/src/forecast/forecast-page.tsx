/** What the models say of a service at a load and a number of replicas, and how right they have been so far. */

import type { ReactElement } from "react";
import type { Forecast } from "../../../src/model/forecast.ts";
import { useLive } from "../data/live.ts";
import { useView } from "../data/use-view.ts";
import { plural } from "../format.ts";
import { hrefOf, type Route, type ServiceName } from "../route.ts";
import { Icon } from "../ui/icon.tsx";
import { Section } from "../ui/section.tsx";
import { Command, Empty, NoGraph, Shown } from "../ui/states.tsx";
import { Answer } from "./answer.tsx";
import { CurveChart } from "./curve-chart.tsx";
import { Fitted } from "./fitted.tsx";
import { Judgement } from "./judgement.tsx";
import { Question } from "./question.tsx";
import { Recovery } from "./recovery.tsx";
import "./forecast.css";

export type ForecastRoute = Extract<Route, { readonly page: "forecast" }>;

export default function ForecastPage({ route }: { readonly route: ForecastRoute }): ReactElement {
  const { state } = useLive();
  const services = useServices(route.service);
  const service = route.service ?? services?.[0];
  if (services === undefined) return <NoGraph isAway={state === "away"} />;
  if (service === undefined) {
    return (
      <>
        <h1>Forecast</h1>
        <Empty title="No service to forecast yet">
          <p>
            A forecast is fitted to live traffic. Send some:{" "}
            <Command>heddle lab curl visitor http://web/</Command>
          </p>
        </Empty>
      </>
    );
  }
  return <OfService route={{ ...route, service }} service={service} services={services} />;
}

function OfService({
  route,
  service,
  services,
}: {
  readonly route: ForecastRoute;
  readonly service: ServiceName;
  readonly services: readonly ServiceName[];
}): ReactElement {
  const query = new URLSearchParams();
  if (route.rps !== undefined) query.set("rps", route.rps);
  if (route.replicas !== undefined) query.set("replicas", route.replicas);
  const name = `${encodeURIComponent(service.namespace)}/${encodeURIComponent(service.name)}`;
  const search = query.size === 0 ? "" : `?${query}`;
  const view = useView<Forecast>(`/heddle/v1/forecast/${name}${search}`);
  return (
    <>
      <div className="forecast-title">
        <h1>Forecast</h1>
        <a className="button" href={hrefOf({ page: "service", service })}>
          <Icon name="services" /> Open {service.name}
        </a>
      </div>
      <Question route={route} service={service} services={services} fitted={view.value?.fitted} />
      <Shown view={view} rows={8}>
        {(forecast) =>
          forecast.unknown === undefined ? (
            <Body forecast={forecast} />
          ) : (
            <Empty title="Nothing can be predicted yet">
              <p>{forecast.unknown}</p>
            </Empty>
          )
        }
      </Shown>
    </>
  );
}

function Body({ forecast }: { readonly forecast: Forecast }): ReactElement {
  const { fitted, asked } = forecast;
  const replicas = asked?.replicas ?? fitted?.replicas;
  return (
    <>
      <Answer forecast={forecast} />
      <div className="forecast-columns">
        <div>
          <Section
            title="Predicted latency over load"
            {...(replicas !== undefined && { note: `with ${plural(replicas, "replica")}` })}
          >
            <CurveChart forecast={forecast} />
          </Section>
          <Recovery forecast={forecast} />
        </div>
        <div>
          <Judgement forecast={forecast} />
          {fitted !== undefined && <Fitted fitted={fitted} />}
        </div>
      </div>
    </>
  );
}

/** Those that the graph knows, the busiest first, and the one that the address names. Undefined before the first graph. */
function useServices(named: ServiceName | undefined): readonly ServiceName[] | undefined {
  const { graph } = useLive();
  if (graph === undefined) return named === undefined ? undefined : [named];
  const known = graph.nodes
    .filter(({ kind }) => kind === "service")
    .map(({ namespace, name }) => ({ namespace, name }))
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  if (named === undefined || known.some((one) => nameOf(one) === nameOf(named))) return known;
  return [named, ...known];
}

function nameOf({ namespace, name }: ServiceName): string {
  return `${namespace}/${name}`;
}
