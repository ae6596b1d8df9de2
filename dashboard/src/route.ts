/**
 * Where in the dashboard one is, as the fragment of the address: every view has an address of its own, and the
 * browser's back button works. The fragment, because all paths belong to the API.
 */

import { useMemo, useSyncExternalStore } from "react";

export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

export type Route =
  | { readonly page: "graph"; readonly selected?: string }
  | { readonly page: "services" }
  | {
      readonly page: "service";
      readonly service: ServiceName;
      /** `namespace/pod` of the endpoint that is looked at. */
      readonly endpoint?: string;
      readonly seconds?: number;
    }
  | { readonly page: "nodes"; readonly node?: string }
  | {
      readonly page: "forecast";
      readonly service?: ServiceName;
      /** As the forecast takes it: `x2`, `40`. */
      readonly rps?: string;
      readonly replicas?: string;
    };

export function parseRoute(fragment: string): Route {
  const [path = "", search = ""] = fragment.replace(/^#\/?/, "").split("?", 2);
  const [page, ...words] = path.split("/").map(decodePart);
  const query = new URLSearchParams(search);
  const given = (key: string) => query.get(key) || undefined;
  const [namespace, name] = words;
  const service = namespace && name ? { namespace, name } : undefined;
  switch (page) {
    case "services": {
      if (service === undefined) return { page: "services" };
      const seconds = Number(query.get("seconds"));
      const endpoint = given("endpoint");
      return {
        page: "service",
        service,
        ...(endpoint && { endpoint }),
        ...(seconds > 0 && { seconds }),
      };
    }
    case "nodes": {
      const node = given("node");
      return { page: "nodes", ...(node && { node }) };
    }
    case "forecast": {
      const rps = given("rps");
      const replicas = given("replicas");
      return {
        page: "forecast",
        ...(service && { service }),
        ...(rps && { rps }),
        ...(replicas && { replicas }),
      };
    }
    default: {
      const selected = given("selected");
      return { page: "graph", ...(selected && { selected }) };
    }
  }
}

export function hrefOf(route: Route): string {
  const query = new URLSearchParams();
  const set = (key: string, value: string | number | undefined) => {
    if (value !== undefined) query.set(key, String(value));
  };
  let path: string = route.page;
  switch (route.page) {
    case "graph":
      set("selected", route.selected);
      break;
    case "services":
      break;
    case "service":
      path = `services/${pathOf(route.service)}`;
      set("seconds", route.seconds);
      set("endpoint", route.endpoint);
      break;
    case "nodes":
      set("node", route.node);
      break;
    case "forecast":
      if (route.service !== undefined) path = `forecast/${pathOf(route.service)}`;
      set("rps", route.rps);
      set("replicas", route.replicas);
      break;
  }
  const text = query.toString();
  return `#/${path}${text === "" ? "" : `?${text}`}`;
}

/** `replace`: without a step for the back button. */
export function goTo(route: Route, how: "push" | "replace" = "push"): void {
  const href = hrefOf(route);
  if (href === location.hash) return;
  if (how === "push") location.hash = href;
  else location.replace(href);
}

export function useRoute(): Route {
  const fragment = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => parseRoute(fragment), [fragment]);
}

/** `shop/web`, as it stands in graphs and paths; undefined where it is no such name. */
export function serviceNamed(qualified: string): ServiceName | undefined {
  const [namespace, name, ...more] = qualified.split("/");
  return namespace && name && more.length === 0 ? { namespace, name } : undefined;
}

export function titleOf(route: Route): string {
  switch (route.page) {
    case "graph":
      return "Graph";
    case "services":
      return "Services";
    case "service":
      return `${route.service.name} · ${route.service.namespace}`;
    case "nodes":
      return "Nodes";
    case "forecast":
      return route.service === undefined ? "Forecast" : `Forecast · ${route.service.name}`;
  }
}

function pathOf({ namespace, name }: ServiceName): string {
  return `${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand: it names nothing, and the page will say so
  }
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}
