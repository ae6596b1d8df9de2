/** The routes in force, in the order in which a request is held against them. */

import type { ReactElement } from "react";
import { clusterDomain } from "../../../src/model/names.ts";
import type { RouteView } from "../../../src/model/observation.ts";
import { formatShare } from "../format.ts";
import { Section } from "../ui/section.tsx";

const anyRequest: ReadonlySet<string> = new Set(["", "/*", "any"]);

/** As people write it: `catalogue.shop:80 v1`. */
function shortHost(destination: string): string {
  return destination.replace(`.svc.${clusterDomain}`, "");
}

export function Routes({ routes }: { readonly routes: readonly RouteView[] }): ReactElement {
  return (
    <Section title="Routes in force" note="the first that matches takes the request">
      {routes.length === 0 ? (
        <p className="none">None: this Service speaks no HTTP. Connections go to any endpoint.</p>
      ) : (
        <ol className="routes">
          {routes.map((route, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a route is its place in the order
            <li key={index}>
              <div className="route-match">
                {anyRequest.has(route.match) ? "any request" : route.match}
              </div>
              <ul className="route-to">
                {route.to.map(({ destination, weightShare }) => (
                  <li key={destination}>
                    <span className="route-bar" aria-hidden="true">
                      <i style={{ width: `${weightShare * 100}%` }} />
                    </span>
                    <b>{formatShare(weightShare)}</b> {shortHost(destination)}
                  </li>
                ))}
              </ul>
              <div className="route-policies">
                {route.policies.map((policy) => (
                  <span
                    className={/fault|abort|delay/i.test(policy) ? "chip chip-fault" : "chip"}
                    key={policy}
                  >
                    {policy}
                  </span>
                ))}
              </div>
              <div className="route-from dim">{route.from}</div>
            </li>
          ))}
        </ol>
      )}
    </Section>
  );
}
