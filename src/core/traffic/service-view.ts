/** Everything that is known of one Service: its signals over time, who calls it, its endpoints, routes and objects. */

import type { Pod, Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { serviceHost } from "../../model/names.ts";
import type {
  EndpointView,
  ObjectReference,
  ServiceView,
  SignalPoint,
} from "../../model/observation.ts";
import { clusterIpOf, endpointsOf, servicePortsOf } from "../registry/services.ts";
import { isMeshed, namespaceOf, workloadLabelsOf } from "../registry/workloads.ts";
import { objectKey, objectNamed, type World } from "../registry/world.ts";
import { edgesOf } from "./graph.ts";
import type { TrafficWindow } from "./history.ts";
import { objectsAbout } from "./objects.ts";
import { placesOf } from "./places.ts";
import { routesTo } from "./routes.ts";
import { edgeSignals, noSignals, servingSignals } from "./signals.ts";

export interface ServiceTraffic {
  /** The last seconds: what "now" means. */
  readonly now: TrafficWindow;
  /** Slot by slot, oldest first. */
  readonly slots: readonly TrafficWindow[];
}

/** `toYaml` renders an object as its user wrote it. */
export function serviceView(
  world: World,
  service: Service,
  traffic: ServiceTraffic,
  toYaml: (object: Resource) => string,
): ServiceView {
  const { now, slots } = traffic;
  const namespace = namespaceOf(service);
  const { name } = service.metadata;
  const id = objectKey(service);
  const edges = edgesOf(placesOf(world), now);
  const clusterAddress = clusterIpOf(service);
  const towards = (window: TrafficWindow) =>
    window.edges.filter(({ counts }) => counts.destination === id);
  return {
    at: now.at,
    namespace,
    name,
    host: serviceHost(namespace, name),
    ...(clusterAddress === undefined ? {} : { clusterAddress }),
    ports: servicePortsOf(service).map((port) => ({
      name: port.name,
      port: port.port,
      protocol: port.appProtocol ?? port.protocol,
    })),
    now: edgeSignals(towards(now)),
    history: slots.map((slot): SignalPoint => ({ at: slot.at, ...edgeSignals(towards(slot)) })),
    callers: edges.filter(({ destination }) => destination === id),
    calls: edges.filter(({ source }) => source === id),
    endpoints: endpointViews(world, service, now),
    routes: routesTo(world, service),
    objects: objectsAbout(world, service).map((object) => reference(object, toYaml)),
  };
}

function endpointViews(
  world: World,
  service: Service,
  now: TrafficWindow,
): readonly EndpointView[] {
  const id = objectKey(service);
  return servicePortsOf(service).flatMap((port) =>
    endpointsOf(world, service, port).map((endpoint): EndpointView => {
      const [namespace = "", name = ""] = (endpoint.pod ?? "").split("/");
      const pod = objectNamed<Pod>(world, "Pod", namespace, name);
      const served = now.serving.filter(
        ({ counts }) => counts.pod === endpoint.pod && counts.service === id,
      );
      const spanMs = Math.max(0, ...served.map((each) => each.spanMs));
      const busyMs = served.reduce((total, { counts }) => total + counts.busyMs, 0);
      return {
        pod: endpoint.pod ?? "",
        address: endpoint.address,
        port: endpoint.port,
        node: endpoint.node ?? "",
        version: pod === undefined ? "-" : workloadLabelsOf(pod).version,
        isReady: endpoint.ready,
        hasSidecar: pod !== undefined && isMeshed(pod),
        signals: served.length === 0 ? noSignals : servingSignals(served),
        ...(spanMs === 0 ? {} : { busyShare: Math.min(1, busyMs / spanMs) }),
      };
    }),
  );
}

function reference(object: Resource, toYaml: (object: Resource) => string): ObjectReference {
  const { apiVersion, kind, metadata } = object;
  return {
    apiVersion,
    kind,
    namespace: metadata.namespace ?? "",
    name: metadata.name,
    yaml: toYaml(asWritten(object)),
  };
}

/** Without what the server added. */
function asWritten(object: Resource): Resource {
  const {
    apiVersion,
    kind,
    metadata,
    status: _,
    ...rest
  } = object as Resource & {
    readonly status?: unknown;
  };
  const { name, namespace, labels, annotations } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    ...rest,
  };
}
