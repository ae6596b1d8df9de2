/** The controllers, in one list. Their order means nothing: each runs for itself. */

import { addressBlocks } from "./address-blocks.ts";
import type { Controller } from "./controller.ts";
import { deployments } from "./deployments.ts";
import { endpointSlices } from "./endpoint-slices.ts";
import { garbage } from "./garbage.ts";
import { hostAddresses } from "./host-addresses.ts";
import { loadBalancers } from "./load-balancers.ts";
import { namespaces } from "./namespaces.ts";
import { scheduler } from "./scheduler.ts";

export const controllers: readonly Controller[] = [
  deployments,
  scheduler,
  endpointSlices,
  loadBalancers,
  hostAddresses,
  garbage,
  namespaces,
  addressBlocks,
];
