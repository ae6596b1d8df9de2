/** The frame of all pages: who is signed in, where one is, how fresh what one sees is. */

import { lazy, type ReactElement, Suspense, useEffect } from "react";
import { openSession, useSession } from "./data/session.ts";
import { layoutWorker } from "./graph/worker.ts";
import { type Route, titleOf, useRoute } from "./route.ts";
import { Header } from "./shell/header.tsx";
import { SignIn } from "./shell/sign-in.tsx";
import { Skeleton } from "./ui/states.tsx";

const loadGraph = () => import("./graph/graph-page.tsx");
const loadServices = () => import("./service/services-page.tsx");
const loadService = () => import("./service/service-page.tsx");
const loadNodes = () => import("./nodes/nodes-page.tsx");
const loadForecast = () => import("./forecast/forecast-page.tsx");

const GraphPage = lazy(loadGraph);
const ServicesPage = lazy(loadServices);
const ServicePage = lazy(loadService);
const NodesPage = lazy(loadNodes);
const ForecastPage = lazy(loadForecast);

// The first page comes while the server is still being asked who this is.
if (location.hash === "" || /^#(token|\/graph)/.test(location.hash)) {
  layoutWorker();
  void loadGraph();
}
void openSession();

export function App(): ReactElement {
  const session = useSession();
  const route = useRoute();
  const title = titleOf(route);
  useEffect(() => {
    document.title = `${title} · Heddle`;
  }, [title]);
  if (session.kind === "asking") return <div className="boot" />;
  if (session.kind === "signed-out") return <SignIn problem={session.problem} />;
  return (
    <>
      <button type="button" className="skip" onClick={toContent}>
        Skip to content
      </button>
      <Header route={route} />
      <main id="content" tabIndex={-1} className={`page page-${route.page}`}>
        <Suspense fallback={<Skeleton rows={8} />}>
          <Page route={route} />
        </Suspense>
      </main>
    </>
  );
}

function Page({ route }: { readonly route: Route }): ReactElement {
  switch (route.page) {
    case "graph":
      return <GraphPage selected={route.selected} />;
    case "services":
      return <ServicesPage />;
    case "service":
      return <ServicePage route={route} />;
    case "nodes":
      return <NodesPage node={route.node} />;
    case "forecast":
      return <ForecastPage route={route} />;
  }
}

/** No link: the fragment is the route. */
function toContent(): void {
  document.getElementById("content")?.focus();
}
