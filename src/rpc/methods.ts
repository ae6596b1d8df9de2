/** What Heddle's processes call each other by gRPC for, and what they say beside it. */

export const methods = {
  deltaResources: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
  deltaSecrets: "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
  createCertificate: "/istio.v1.auth.IstioCertificateService/CreateCertificate",
} as const;

/** Names of call metadata that the server reads. */
export const callMetadata = {
  authorization: "authorization",
  /** `namespace/name` of the pod that a call is made for. */
  pod: "heddle-pod",
  podUid: "heddle-pod-uid",
} as const;
