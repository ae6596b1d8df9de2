/** What is asked: which service, how much load, how many replicas. The answer's address says it, to be sent to others. */

import { type FormEvent, type ReactElement, useEffect, useState } from "react";
import type { FittedService } from "../../../src/model/forecast.ts";
import { formatNumber } from "../format.ts";
import { goTo, hrefOf, type ServiceName, serviceNamed } from "../route.ts";
import type { ForecastRoute } from "./forecast-page.tsx";

const factors = ["x1", "x1.5", "x2", "x3"] as const;
const mostReplicas = 1_000;

export function Question({
  route,
  service,
  services,
  fitted,
}: {
  readonly route: ForecastRoute;
  readonly service: ServiceName;
  readonly services: readonly ServiceName[];
  readonly fitted: FittedService | undefined;
}): ReactElement {
  const replicas = Number(route.replicas ?? fitted?.replicas ?? 1);
  return (
    <div className="question">
      <label className="question-part">
        <span>Service</span>
        <select
          value={`${service.namespace}/${service.name}`}
          onChange={(event) => {
            const chosen = serviceNamed(event.target.value);
            if (chosen !== undefined) goTo({ page: "forecast", service: chosen });
          }}
        >
          {services.map(({ namespace, name }) => (
            <option key={`${namespace}/${name}`}>{`${namespace}/${name}`}</option>
          ))}
        </select>
      </label>
      <div className="question-part">
        <span>Load</span>
        <span className="choice">
          {factors.map((factor) => (
            <a
              key={factor}
              href={hrefOf({ ...route, rps: factor })}
              aria-current={(route.rps ?? "x1") === factor}
            >
              {factor.replace("x", "×")}
            </a>
          ))}
        </span>
        <LoadField route={route} />
      </div>
      <div className="question-part">
        <span>Replicas</span>
        <span className="stepper">
          <button
            type="button"
            aria-label="One replica less"
            disabled={replicas <= 1}
            onClick={() => goTo({ ...route, replicas: String(replicas - 1) })}
          >
            −
          </button>
          <output>{formatNumber(replicas)}</output>
          <button
            type="button"
            aria-label="One replica more"
            disabled={replicas >= mostReplicas}
            onClick={() => goTo({ ...route, replicas: String(replicas + 1) })}
          >
            +
          </button>
        </span>
      </div>
      {(route.rps !== undefined || route.replicas !== undefined) && (
        <a className="question-reset" href={hrefOf({ page: "forecast", service })}>
          As it is now
        </a>
      )}
    </div>
  );
}

/** A load in requests per second. */
function LoadField({ route }: { readonly route: ForecastRoute }): ReactElement {
  const asked = route.rps !== undefined && /^[\d.]+$/.test(route.rps) ? route.rps : "";
  const [text, setText] = useState(asked);
  useEffect(() => setText(asked), [asked]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const rps = Number(text);
    if (Number.isFinite(rps) && rps > 0) goTo({ ...route, rps: String(rps) });
  };
  return (
    <form className="load-field" onSubmit={submit}>
      <input
        inputMode="decimal"
        aria-label="Load in requests per second"
        placeholder="or"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <span>req/s</span>
    </form>
  );
}
