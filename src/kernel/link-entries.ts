/**
 * One step on what stands on links: addresses, routes, neighbours and forwarding entries; and on rules.
 *
 * Each is one request that replaces or deletes; deleting what is absent is success. Links are named in steps and
 * numbered in requests, so a plan's steps share the numbers that were looked up (`indexes`).
 */

import { unreachable } from "../base/error.ts";
import { renderCidr } from "../base/ip.ts";
import { routeProtocol, rulePriority } from "../model/names.ts";
import type { RouteSpec, Step } from "../model/node-state.ts";
import { deleteAddress, replaceAddress } from "../wire/netlink/address.ts";
import {
  deleteForwarding,
  deleteNeighbour,
  replaceForwarding,
  replaceNeighbour,
} from "../wire/netlink/neighbour.ts";
import { deleteRoute, type Route, replaceRoute } from "../wire/netlink/route.ts";
import { addSourceRule, deleteSourceRule } from "../wire/netlink/rule.ts";
import { EEXIST, ENODEV, SystemCallError } from "./ffi.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { findLink } from "./pod-interface.ts";
import { absent, doing } from "./refusal.ts";

type EntryStep = Exclude<
  Step,
  { kind: "nft" | "sysctl" | "link-add" | "link-delete" | "fast-path-put" | "fast-path-delete" }
>;

export function applyEntry(
  socket: NetlinkSocket,
  step: EntryStep,
  indexes: Map<string, number>,
): void {
  const indexOf = (link: string): number => {
    const known = indexes.get(link);
    if (known !== undefined) return known;
    const index = findLink(socket, link)?.index;
    if (index === undefined) throw new SystemCallError(ENODEV, `no link ${link}`);
    indexes.set(link, index);
    return index;
  };
  switch (step.kind) {
    case "address-add":
    case "address-delete": {
      const { link, ...address } = step.address;
      const adding = step.kind === "address-add";
      doing(
        "address",
        `${adding ? "add" : "delete"} ${address.address}/${address.prefixLength} of link ${link}`,
        () => {
          // The pods' gateway on lo must not become the source of what the node sends to other nodes' pods.
          const wanted = { linkIndex: indexOf(link), ...address, hostOnly: link === "lo" };
          socket.request(adding ? replaceAddress(wanted) : deleteAddress(wanted));
        },
        adding ? [] : absent,
      );
      break;
    }
    case "route-replace":
      doing("route", `replace route ${renderRoute(step.route)}`, () =>
        socket.request(replaceRoute(routeOf(step.route, indexOf))),
      );
      break;
    case "route-delete":
      doing(
        "route",
        `delete route ${renderRoute(step.route)}`,
        () => socket.request(deleteRoute(routeOf(step.route, indexOf))),
        absent,
      );
      break;
    case "rule-add":
    case "rule-delete": {
      const rule = { ...step.rule, priority: rulePriority };
      const adding = step.kind === "rule-add";
      doing(
        "rule",
        `${adding ? "add" : "delete"} rule for packets from ${renderCidr(rule.source)}`,
        () => socket.request(adding ? addSourceRule(rule) : deleteSourceRule(rule)),
        adding ? [EEXIST] : absent,
      );
      break;
    }
    case "neighbour-replace":
    case "neighbour-delete": {
      const { link, ...neighbour } = step.neighbour;
      const adding = step.kind === "neighbour-replace";
      doing(
        "neighbour",
        `${adding ? "replace" : "delete"} neighbour ${neighbour.address} of link ${link}`,
        () => {
          const wanted = { linkIndex: indexOf(link), ...neighbour };
          socket.request(adding ? replaceNeighbour(wanted) : deleteNeighbour(wanted));
        },
        adding ? [] : absent,
      );
      break;
    }
    case "forwarding-replace":
    case "forwarding-delete": {
      const { link, ...entry } = step.forwarding;
      const adding = step.kind === "forwarding-replace";
      doing(
        "forwarding",
        `${adding ? "replace" : "delete"} forwarding of ${entry.mac} on link ${link}`,
        () => {
          const wanted = { linkIndex: indexOf(link), ...entry };
          socket.request(adding ? replaceForwarding(wanted) : deleteForwarding(wanted));
        },
        adding ? [] : absent,
      );
      break;
    }
    default:
      unreachable(step);
  }
}

function routeOf(spec: RouteSpec, indexOf: (link: string) => number): Route {
  return {
    destination: spec.destination,
    protocol: routeProtocol,
    onLink: spec.onLink ?? false,
    blackhole: spec.blackhole ?? false,
    ...(spec.link === undefined ? {} : { linkIndex: indexOf(spec.link) }),
    ...(spec.via === undefined ? {} : { via: spec.via }),
    ...(spec.mtu === undefined ? {} : { mtu: spec.mtu }),
    ...(spec.table === undefined ? {} : { table: spec.table }),
  };
}

function renderRoute(route: RouteSpec): string {
  return [
    `${route.destination.address}/${route.destination.prefixLength}`,
    ...(route.blackhole ? ["blackhole"] : []),
    ...(route.via === undefined ? [] : [`via ${route.via}`]),
    ...(route.link === undefined ? [] : [`dev ${route.link}`]),
    ...(route.table === undefined ? [] : [`table ${route.table}`]),
  ].join(" ");
}
