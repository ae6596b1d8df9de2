// Made by scripts/generate-xds.ts from src/wire/xds/messages.txt; do not edit.

import type { MessageType } from "../protobuf.ts";
import { message } from "../protobuf.ts";
import type * as t from "./message-types.ts";

/** envoy.config.core.v3.TrafficDirection */
export const TrafficDirection = {
  UNSPECIFIED: 0,
  INBOUND: 1,
  OUTBOUND: 2,
} as const;

/** envoy.config.core.v3.ApiVersion */
export const ApiVersion = {
  AUTO: 0,
  V2: 1,
  V3: 2,
} as const;

/** envoy.config.core.v3.ApiConfigSource.ApiType */
export const ApiType = {
  DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE: 0,
  REST: 1,
  GRPC: 2,
  DELTA_GRPC: 3,
  AGGREGATED_GRPC: 5,
  AGGREGATED_DELTA_GRPC: 6,
} as const;

/** envoy.config.core.v3.HeaderValueOption.HeaderAppendAction */
export const AppendAction = {
  APPEND_IF_EXISTS_OR_ADD: 0,
  ADD_IF_ABSENT: 1,
  OVERWRITE_IF_EXISTS_OR_ADD: 2,
  OVERWRITE_IF_EXISTS: 3,
} as const;

/** envoy.type.v3.FractionalPercent.DenominatorType */
export const DenominatorType = {
  HUNDRED: 0,
  TEN_THOUSAND: 1,
  MILLION: 2,
} as const;

/** envoy.config.cluster.v3.Cluster.DiscoveryType */
export const DiscoveryType = {
  STATIC: 0,
  STRICT_DNS: 1,
  LOGICAL_DNS: 2,
  EDS: 3,
  ORIGINAL_DST: 4,
} as const;

/** envoy.config.cluster.v3.Cluster.DnsLookupFamily */
export const DnsLookupFamily = {
  AUTO: 0,
  V4_ONLY: 1,
  V6_ONLY: 2,
  V4_PREFERRED: 3,
  ALL: 4,
} as const;

/** envoy.config.core.v3.HealthStatus */
export const HealthStatus = {
  UNKNOWN: 0,
  HEALTHY: 1,
  UNHEALTHY: 2,
  DRAINING: 3,
  TIMEOUT: 4,
  DEGRADED: 5,
} as const;

/** envoy.config.cluster.v3.Cluster.LbPolicy */
export const LbPolicy = {
  ROUND_ROBIN: 0,
  LEAST_REQUEST: 1,
  RING_HASH: 2,
  RANDOM: 3,
  MAGLEV: 5,
  CLUSTER_PROVIDED: 6,
  LOAD_BALANCING_POLICY_CONFIG: 7,
} as const;

/** envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetFallbackPolicy */
export const LbSubsetFallback = {
  NO_FALLBACK: 0,
  ANY_ENDPOINT: 1,
  DEFAULT_SUBSET: 2,
} as const;

/** envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector.LbSubsetSelectorFallbackPolicy */
export const LbSelectorFallback = {
  NOT_DEFINED: 0,
  NO_FALLBACK: 1,
  ANY_ENDPOINT: 2,
  DEFAULT_SUBSET: 3,
  KEYS_SUBSET: 4,
} as const;

/** envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest.SelectionMethod */
export const SelectionMethod = {
  N_CHOICES: 0,
  FULL_SCAN: 1,
} as const;

/** envoy.config.rbac.v3.RBAC.Action */
export const RbacAction = {
  ALLOW: 0,
  DENY: 1,
  LOG: 2,
} as const;

/** envoy.config.core.v3.ProxyProtocolConfig.Version */
export const ProxyProtocolVersion = {
  V1: 0,
  V2: 1,
} as const;

/** envoy.config.core.v3.RequestMethod */
export const RequestMethod = {
  METHOD_UNSPECIFIED: 0,
  GET: 1,
  HEAD: 2,
  POST: 3,
  PUT: 4,
  DELETE: 5,
  CONNECT: 6,
  OPTIONS: 7,
  TRACE: 8,
  PATCH: 9,
} as const;

/** envoy.config.route.v3.RedirectAction.RedirectResponseCode */
export const RedirectCode = {
  MOVED_PERMANENTLY: 0,
  FOUND: 1,
  SEE_OTHER: 2,
  TEMPORARY_REDIRECT: 3,
  PERMANENT_REDIRECT: 4,
} as const;

/** envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher.SanType */
export const SanType = {
  SAN_TYPE_UNSPECIFIED: 0,
  EMAIL: 1,
  DNS: 2,
  URI: 3,
  IP_ADDRESS: 4,
  OTHER_NAME: 5,
} as const;

/** envoy.extensions.transport_sockets.tls.v3.TlsParameters.TlsProtocol */
export const TlsProtocol = {
  TLS_AUTO: 0,
  TLSv1_0: 1,
  TLSv1_1: 2,
  TLSv1_2: 3,
  TLSv1_3: 4,
} as const;

/** envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ForwardClientCertDetails */
export const ForwardClientCert = {
  SANITIZE: 0,
  FORWARD_ONLY: 1,
  APPEND_FORWARD: 2,
  SANITIZE_SET: 3,
  ALWAYS_FORWARD_ONLY: 4,
} as const;

export const Any: MessageType<t.Any> = message("google.protobuf.Any", [
  [1, "typeUrl", "string", "plain"],
  [2, "value", "bytes", "plain"],
]);

export const Duration: MessageType<t.Duration> = message("google.protobuf.Duration", [
  [1, "seconds", "int64", "plain"],
  [2, "nanos", "int32", "plain"],
]);

export const BoolValue: MessageType<t.BoolValue> = message("google.protobuf.BoolValue", [
  [1, "value", "bool", "plain"],
]);

export const UInt32Value: MessageType<t.UInt32Value> = message("google.protobuf.UInt32Value", [
  [1, "value", "uint32", "plain"],
]);

export const Struct: MessageType<t.Struct> = message("google.protobuf.Struct", [
  [1, "fields", "message", "map", () => Value],
]);

export const Value: MessageType<t.Value> = message("google.protobuf.Value", [
  [1, "nullValue", "enum", "optional"],
  [2, "numberValue", "double", "optional"],
  [3, "stringValue", "string", "optional"],
  [4, "boolValue", "bool", "optional"],
  [5, "structValue", "message", "optional", () => Struct],
  [6, "listValue", "message", "optional", () => ListValue],
]);

export const ListValue: MessageType<t.ListValue> = message("google.protobuf.ListValue", [
  [1, "values", "message", "many", () => Value],
]);

export const RpcStatus: MessageType<t.RpcStatus> = message("google.rpc.Status", [
  [1, "code", "int32", "plain"],
  [2, "message", "string", "plain"],
]);

export const DeltaDiscoveryRequest: MessageType<t.DeltaDiscoveryRequest> = message("envoy.service.discovery.v3.DeltaDiscoveryRequest", [
  [1, "node", "message", "optional", () => Node],
  [2, "typeUrl", "string", "plain"],
  [3, "resourceNamesSubscribe", "string", "many"],
  [4, "resourceNamesUnsubscribe", "string", "many"],
  [5, "initialResourceVersions", "string", "map"],
  [6, "responseNonce", "string", "plain"],
  [7, "errorDetail", "message", "optional", () => RpcStatus],
]);

export const DeltaDiscoveryResponse: MessageType<t.DeltaDiscoveryResponse> = message("envoy.service.discovery.v3.DeltaDiscoveryResponse", [
  [1, "systemVersionInfo", "string", "plain"],
  [2, "resources", "message", "many", () => Resource],
  [4, "typeUrl", "string", "plain"],
  [5, "nonce", "string", "plain"],
  [6, "removedResources", "string", "many"],
  [7, "controlPlane", "message", "optional", () => ControlPlane],
]);

export const Resource: MessageType<t.Resource> = message("envoy.service.discovery.v3.Resource", [
  [1, "version", "string", "plain"],
  [2, "resource", "message", "optional", () => Any],
  [3, "name", "string", "plain"],
  [4, "aliases", "string", "many"],
]);

export const ControlPlane: MessageType<t.ControlPlane> = message("envoy.config.core.v3.ControlPlane", [
  [1, "identifier", "string", "plain"],
]);

export const Node: MessageType<t.Node> = message("envoy.config.core.v3.Node", [
  [1, "id", "string", "plain"],
  [2, "cluster", "string", "plain"],
  [3, "metadata", "message", "optional", () => Struct],
  [6, "userAgentName", "string", "plain"],
  [7, "userAgentVersion", "string", "optional"],
]);

export const Metadata: MessageType<t.Metadata> = message("envoy.config.core.v3.Metadata", [
  [1, "filterMetadata", "message", "map", () => Struct],
]);

export const Address: MessageType<t.Address> = message("envoy.config.core.v3.Address", [
  [1, "socketAddress", "message", "optional", () => SocketAddress],
]);

export const SocketAddress: MessageType<t.SocketAddress> = message("envoy.config.core.v3.SocketAddress", [
  [2, "address", "string", "plain"],
  [3, "portValue", "uint32", "optional"],
]);

export const CidrRange: MessageType<t.CidrRange> = message("envoy.config.core.v3.CidrRange", [
  [1, "addressPrefix", "string", "plain"],
  [2, "prefixLen", "message", "optional", () => UInt32Value],
]);

export const DataSource: MessageType<t.DataSource> = message("envoy.config.core.v3.DataSource", [
  [1, "filename", "string", "optional"],
  [2, "inlineBytes", "bytes", "optional"],
  [3, "inlineString", "string", "optional"],
]);

export const TransportSocket: MessageType<t.TransportSocket> = message("envoy.config.core.v3.TransportSocket", [
  [1, "name", "string", "plain"],
  [3, "typedConfig", "message", "optional", () => Any],
]);

export const HeaderValue: MessageType<t.HeaderValue> = message("envoy.config.core.v3.HeaderValue", [
  [1, "key", "string", "plain"],
  [2, "value", "string", "plain"],
]);

export const HeaderValueOption: MessageType<t.HeaderValueOption> = message("envoy.config.core.v3.HeaderValueOption", [
  [1, "header", "message", "optional", () => HeaderValue],
  [3, "appendAction", "enum", "plain"],
]);

export const RuntimeFractionalPercent: MessageType<t.RuntimeFractionalPercent> = message("envoy.config.core.v3.RuntimeFractionalPercent", [
  [1, "defaultValue", "message", "optional", () => FractionalPercent],
]);

export const Percent: MessageType<t.Percent> = message("envoy.type.v3.Percent", [
  [1, "value", "double", "plain"],
]);

export const FractionalPercent: MessageType<t.FractionalPercent> = message("envoy.type.v3.FractionalPercent", [
  [1, "numerator", "uint32", "plain"],
  [2, "denominator", "enum", "plain"],
]);

export const ConfigSource: MessageType<t.ConfigSource> = message("envoy.config.core.v3.ConfigSource", [
  [3, "ads", "message", "optional", () => AggregatedConfigSource],
  [2, "apiConfigSource", "message", "optional", () => ApiConfigSource],
  [4, "initialFetchTimeout", "message", "optional", () => Duration],
  [6, "resourceApiVersion", "enum", "plain"],
]);

export const AggregatedConfigSource: MessageType<t.AggregatedConfigSource> = message("envoy.config.core.v3.AggregatedConfigSource", [

]);

export const ApiConfigSource: MessageType<t.ApiConfigSource> = message("envoy.config.core.v3.ApiConfigSource", [
  [1, "apiType", "enum", "plain"],
  [8, "transportApiVersion", "enum", "plain"],
  [4, "grpcServices", "message", "many", () => GrpcService],
  [7, "setNodeOnFirstMessageOnly", "bool", "plain"],
]);

export const GrpcService: MessageType<t.GrpcService> = message("envoy.config.core.v3.GrpcService", [
  [1, "envoyGrpc", "message", "optional", () => EnvoyGrpc],
]);

export const EnvoyGrpc: MessageType<t.EnvoyGrpc> = message("envoy.config.core.v3.GrpcService.EnvoyGrpc", [
  [1, "clusterName", "string", "plain"],
]);

export const StringMatcher: MessageType<t.StringMatcher> = message("envoy.type.matcher.v3.StringMatcher", [
  [1, "exact", "string", "optional"],
  [2, "prefix", "string", "optional"],
  [3, "suffix", "string", "optional"],
  [5, "safeRegex", "message", "optional", () => RegexMatcher],
  [6, "ignoreCase", "bool", "plain"],
]);

export const RegexMatcher: MessageType<t.RegexMatcher> = message("envoy.type.matcher.v3.RegexMatcher", [
  [2, "regex", "string", "plain"],
]);

export const PathMatcher: MessageType<t.PathMatcher> = message("envoy.type.matcher.v3.PathMatcher", [
  [1, "path", "message", "optional", () => StringMatcher],
]);

export const Listener: MessageType<t.Listener> = message("envoy.config.listener.v3.Listener", [
  [1, "name", "string", "plain"],
  [2, "address", "message", "optional", () => Address],
  [3, "filterChains", "message", "many", () => FilterChain],
  [4, "useOriginalDst", "message", "optional", () => BoolValue],
  [25, "defaultFilterChain", "message", "optional", () => FilterChain],
  [9, "listenerFilters", "message", "many", () => ListenerFilter],
  [15, "listenerFiltersTimeout", "message", "optional", () => Duration],
  [17, "continueOnListenerFiltersTimeout", "bool", "plain"],
  [16, "trafficDirection", "enum", "plain"],
  [26, "bindToPort", "message", "optional", () => BoolValue],
]);

export const FilterChain: MessageType<t.FilterChain> = message("envoy.config.listener.v3.FilterChain", [
  [1, "filterChainMatch", "message", "optional", () => FilterChainMatch],
  [3, "filters", "message", "many", () => Filter],
  [6, "transportSocket", "message", "optional", () => TransportSocket],
  [7, "name", "string", "plain"],
]);

export const FilterChainMatch: MessageType<t.FilterChainMatch> = message("envoy.config.listener.v3.FilterChainMatch", [
  [8, "destinationPort", "message", "optional", () => UInt32Value],
  [3, "prefixRanges", "message", "many", () => CidrRange],
  [11, "serverNames", "string", "many"],
  [9, "transportProtocol", "string", "plain"],
  [10, "applicationProtocols", "string", "many"],
]);

export const Filter: MessageType<t.Filter> = message("envoy.config.listener.v3.Filter", [
  [1, "name", "string", "plain"],
  [4, "typedConfig", "message", "optional", () => Any],
]);

export const ListenerFilter: MessageType<t.ListenerFilter> = message("envoy.config.listener.v3.ListenerFilter", [
  [1, "name", "string", "plain"],
  [3, "typedConfig", "message", "optional", () => Any],
]);

export const TlsInspector: MessageType<t.TlsInspector> = message("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", [

]);

export const HttpInspector: MessageType<t.HttpInspector> = message("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", [

]);

export const ProxyProtocol: MessageType<t.ProxyProtocol> = message("envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol", [
  [2, "allowRequestsWithoutProxyProtocol", "bool", "plain"],
]);

export const OriginalDst: MessageType<t.OriginalDst> = message("envoy.extensions.filters.listener.original_dst.v3.OriginalDst", [

]);

export const TcpProxy: MessageType<t.TcpProxy> = message("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", [
  [1, "statPrefix", "string", "plain"],
  [2, "cluster", "string", "optional"],
  [10, "weightedClusters", "message", "optional", () => TcpWeightedCluster],
  [8, "idleTimeout", "message", "optional", () => Duration],
  [5, "accessLog", "message", "many", () => AccessLog],
  [9, "metadataMatch", "message", "optional", () => Metadata],
]);

export const TcpWeightedCluster: MessageType<t.TcpWeightedCluster> = message("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster", [
  [1, "clusters", "message", "many", () => TcpClusterWeight],
]);

export const TcpClusterWeight: MessageType<t.TcpClusterWeight> = message("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight", [
  [1, "name", "string", "plain"],
  [2, "weight", "uint32", "plain"],
  [3, "metadataMatch", "message", "optional", () => Metadata],
]);

export const NetworkRbac: MessageType<t.NetworkRbac> = message("envoy.extensions.filters.network.rbac.v3.RBAC", [
  [1, "rules", "message", "optional", () => Rbac],
  [3, "statPrefix", "string", "plain"],
]);

export const HttpConnectionManager: MessageType<t.HttpConnectionManager> = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", [
  [1, "codecType", "enum", "plain"],
  [2, "statPrefix", "string", "plain"],
  [3, "rds", "message", "optional", () => Rds],
  [4, "routeConfig", "message", "optional", () => RouteConfiguration],
  [5, "httpFilters", "message", "many", () => HttpFilter],
  [14, "useRemoteAddress", "message", "optional", () => BoolValue],
  [19, "xffNumTrustedHops", "uint32", "plain"],
  [16, "forwardClientCertDetails", "enum", "plain"],
  [17, "setCurrentClientCertDetails", "message", "optional", () => SetCurrentClientCertDetails],
  [24, "streamIdleTimeout", "message", "optional", () => Duration],
  [23, "upgradeConfigs", "message", "many", () => UpgradeConfig],
  [30, "normalizePath", "message", "optional", () => BoolValue],
  [13, "accessLog", "message", "many", () => AccessLog],
  [7, "tracing", "message", "optional", () => HttpTracing],
]);

export const AccessLog: MessageType<t.AccessLog> = message("envoy.config.accesslog.v3.AccessLog", [
  [1, "name", "string", "plain"],
  [4, "typedConfig", "message", "optional", () => Any],
]);

export const FileAccessLog: MessageType<t.FileAccessLog> = message("envoy.extensions.access_loggers.file.v3.FileAccessLog", [
  [1, "path", "string", "plain"],
]);

export const StdoutAccessLog: MessageType<t.StdoutAccessLog> = message("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", [

]);

export const HttpTracing: MessageType<t.HttpTracing> = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing", [
  [4, "randomSampling", "message", "optional", () => Percent],
  [9, "provider", "message", "optional", () => TracingProvider],
]);

export const TracingProvider: MessageType<t.TracingProvider> = message("envoy.config.trace.v3.Tracing.Http", [
  [1, "name", "string", "plain"],
  [3, "typedConfig", "message", "optional", () => Any],
]);

export const OpenTelemetryConfig: MessageType<t.OpenTelemetryConfig> = message("envoy.config.trace.v3.OpenTelemetryConfig", [
  [3, "httpService", "message", "optional", () => HttpService],
  [2, "serviceName", "string", "plain"],
]);

export const HttpService: MessageType<t.HttpService> = message("envoy.config.core.v3.HttpService", [
  [1, "httpUri", "message", "optional", () => HttpUri],
]);

export const HttpUri: MessageType<t.HttpUri> = message("envoy.config.core.v3.HttpUri", [
  [1, "uri", "string", "plain"],
  [2, "cluster", "string", "optional"],
  [3, "timeout", "message", "optional", () => Duration],
]);

export const SetCurrentClientCertDetails: MessageType<t.SetCurrentClientCertDetails> = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails", [
  [1, "subject", "message", "optional", () => BoolValue],
  [5, "uri", "bool", "plain"],
  [4, "dns", "bool", "plain"],
]);

export const UpgradeConfig: MessageType<t.UpgradeConfig> = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig", [
  [1, "upgradeType", "string", "plain"],
]);

export const Rds: MessageType<t.Rds> = message("envoy.extensions.filters.network.http_connection_manager.v3.Rds", [
  [1, "configSource", "message", "optional", () => ConfigSource],
  [2, "routeConfigName", "string", "plain"],
]);

export const HttpFilter: MessageType<t.HttpFilter> = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter", [
  [1, "name", "string", "plain"],
  [4, "typedConfig", "message", "optional", () => Any],
  [6, "isOptional", "bool", "plain"],
]);

export const Router: MessageType<t.Router> = message("envoy.extensions.filters.http.router.v3.Router", [

]);

export const GrpcWeb: MessageType<t.GrpcWeb> = message("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", [

]);

export const HttpRbac: MessageType<t.HttpRbac> = message("envoy.extensions.filters.http.rbac.v3.RBAC", [
  [1, "rules", "message", "optional", () => Rbac],
]);

export const HttpFault: MessageType<t.HttpFault> = message("envoy.extensions.filters.http.fault.v3.HTTPFault", [
  [1, "delay", "message", "optional", () => FaultDelay],
  [2, "abort", "message", "optional", () => FaultAbort],
]);

export const FaultDelay: MessageType<t.FaultDelay> = message("envoy.extensions.filters.common.fault.v3.FaultDelay", [
  [3, "fixedDelay", "message", "optional", () => Duration],
  [4, "percentage", "message", "optional", () => FractionalPercent],
]);

export const FaultAbort: MessageType<t.FaultAbort> = message("envoy.extensions.filters.http.fault.v3.FaultAbort", [
  [2, "httpStatus", "uint32", "optional"],
  [3, "percentage", "message", "optional", () => FractionalPercent],
  [5, "grpcStatus", "uint32", "optional"],
]);

export const LocalRateLimit: MessageType<t.LocalRateLimit> = message("envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", [
  [1, "statPrefix", "string", "plain"],
  [3, "tokenBucket", "message", "optional", () => TokenBucket],
  [4, "filterEnabled", "message", "optional", () => RuntimeFractionalPercent],
  [5, "filterEnforced", "message", "optional", () => RuntimeFractionalPercent],
  [8, "descriptors", "message", "many", () => LocalRateLimitDescriptor],
  [11, "localRateLimitPerDownstreamConnection", "bool", "plain"],
]);

export const TokenBucket: MessageType<t.TokenBucket> = message("envoy.type.v3.TokenBucket", [
  [1, "maxTokens", "uint32", "plain"],
  [2, "tokensPerFill", "message", "optional", () => UInt32Value],
  [3, "fillInterval", "message", "optional", () => Duration],
]);

export const LocalRateLimitDescriptor: MessageType<t.LocalRateLimitDescriptor> = message("envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor", [
  [2, "tokenBucket", "message", "optional", () => TokenBucket],
]);

export const Rbac: MessageType<t.Rbac> = message("envoy.config.rbac.v3.RBAC", [
  [1, "action", "enum", "plain"],
  [2, "policies", "message", "map", () => RbacPolicy],
]);

export const RbacPolicy: MessageType<t.RbacPolicy> = message("envoy.config.rbac.v3.Policy", [
  [1, "permissions", "message", "many", () => Permission],
  [2, "principals", "message", "many", () => Principal],
]);

export const Permission: MessageType<t.Permission> = message("envoy.config.rbac.v3.Permission", [
  [1, "andRules", "message", "optional", () => PermissionSet],
  [2, "orRules", "message", "optional", () => PermissionSet],
  [3, "any", "bool", "optional"],
  [4, "header", "message", "optional", () => HeaderMatcher],
  [10, "urlPath", "message", "optional", () => PathMatcher],
  [6, "destinationPort", "uint32", "optional"],
  [8, "notRule", "message", "optional", () => Permission],
]);

export const PermissionSet: MessageType<t.PermissionSet> = message("envoy.config.rbac.v3.Permission.Set", [
  [1, "rules", "message", "many", () => Permission],
]);

export const Principal: MessageType<t.Principal> = message("envoy.config.rbac.v3.Principal", [
  [1, "andIds", "message", "optional", () => PrincipalSet],
  [2, "orIds", "message", "optional", () => PrincipalSet],
  [3, "any", "bool", "optional"],
  [4, "authenticated", "message", "optional", () => Authenticated],
  [10, "directRemoteIp", "message", "optional", () => CidrRange],
  [11, "remoteIp", "message", "optional", () => CidrRange],
  [6, "header", "message", "optional", () => HeaderMatcher],
  [8, "notId", "message", "optional", () => Principal],
]);

export const PrincipalSet: MessageType<t.PrincipalSet> = message("envoy.config.rbac.v3.Principal.Set", [
  [1, "ids", "message", "many", () => Principal],
]);

export const Authenticated: MessageType<t.Authenticated> = message("envoy.config.rbac.v3.Principal.Authenticated", [
  [2, "principalName", "message", "optional", () => StringMatcher],
]);

export const RouteConfiguration: MessageType<t.RouteConfiguration> = message("envoy.config.route.v3.RouteConfiguration", [
  [1, "name", "string", "plain"],
  [2, "virtualHosts", "message", "many", () => VirtualHost],
  [7, "validateClusters", "message", "optional", () => BoolValue],
  [14, "ignorePortInHostMatching", "bool", "plain"],
]);

export const VirtualHost: MessageType<t.VirtualHost> = message("envoy.config.route.v3.VirtualHost", [
  [1, "name", "string", "plain"],
  [2, "domains", "string", "many"],
  [3, "routes", "message", "many", () => Route],
  [14, "includeRequestAttemptCount", "bool", "plain"],
]);

export const Route: MessageType<t.Route> = message("envoy.config.route.v3.Route", [
  [14, "name", "string", "plain"],
  [1, "match", "message", "optional", () => RouteMatch],
  [2, "route", "message", "optional", () => RouteAction],
  [3, "redirect", "message", "optional", () => RedirectAction],
  [7, "directResponse", "message", "optional", () => DirectResponseAction],
  [4, "metadata", "message", "optional", () => Metadata],
  [13, "typedPerFilterConfig", "message", "map", () => Any],
  [9, "requestHeadersToAdd", "message", "many", () => HeaderValueOption],
  [12, "requestHeadersToRemove", "string", "many"],
  [10, "responseHeadersToAdd", "message", "many", () => HeaderValueOption],
  [11, "responseHeadersToRemove", "string", "many"],
]);

export const RouteMatch: MessageType<t.RouteMatch> = message("envoy.config.route.v3.RouteMatch", [
  [1, "prefix", "string", "optional"],
  [2, "path", "string", "optional"],
  [10, "safeRegex", "message", "optional", () => RegexMatcher],
  [4, "caseSensitive", "message", "optional", () => BoolValue],
  [6, "headers", "message", "many", () => HeaderMatcher],
  [7, "queryParameters", "message", "many", () => QueryParameterMatcher],
]);

export const QueryParameterMatcher: MessageType<t.QueryParameterMatcher> = message("envoy.config.route.v3.QueryParameterMatcher", [
  [1, "name", "string", "plain"],
  [5, "stringMatch", "message", "optional", () => StringMatcher],
  [6, "presentMatch", "bool", "optional"],
]);

export const HeaderMatcher: MessageType<t.HeaderMatcher> = message("envoy.config.route.v3.HeaderMatcher", [
  [1, "name", "string", "plain"],
  [13, "stringMatch", "message", "optional", () => StringMatcher],
  [7, "presentMatch", "bool", "optional"],
  [8, "invertMatch", "bool", "plain"],
  [14, "treatMissingHeaderAsEmpty", "bool", "plain"],
]);

export const RouteAction: MessageType<t.RouteAction> = message("envoy.config.route.v3.RouteAction", [
  [1, "cluster", "string", "optional"],
  [3, "weightedClusters", "message", "optional", () => WeightedCluster],
  [5, "prefixRewrite", "string", "plain"],
  [32, "regexRewrite", "message", "optional", () => RegexMatchAndSubstitute],
  [6, "hostRewriteLiteral", "string", "optional"],
  [8, "timeout", "message", "optional", () => Duration],
  [23, "maxGrpcTimeout", "message", "optional", () => Duration],
  [9, "retryPolicy", "message", "optional", () => RetryPolicy],
  [15, "hashPolicy", "message", "many", () => HashPolicy],
  [30, "requestMirrorPolicies", "message", "many", () => RequestMirrorPolicy],
  [4, "metadataMatch", "message", "optional", () => Metadata],
]);

export const RequestMirrorPolicy: MessageType<t.RequestMirrorPolicy> = message("envoy.config.route.v3.RouteAction.RequestMirrorPolicy", [
  [1, "cluster", "string", "plain"],
  [3, "runtimeFraction", "message", "optional", () => RuntimeFractionalPercent],
]);

export const RegexMatchAndSubstitute: MessageType<t.RegexMatchAndSubstitute> = message("envoy.type.matcher.v3.RegexMatchAndSubstitute", [
  [1, "pattern", "message", "optional", () => RegexMatcher],
  [2, "substitution", "string", "plain"],
]);

export const HashPolicy: MessageType<t.HashPolicy> = message("envoy.config.route.v3.RouteAction.HashPolicy", [
  [1, "header", "message", "optional", () => HashHeader],
  [2, "cookie", "message", "optional", () => HashCookie],
  [3, "connectionProperties", "message", "optional", () => HashConnection],
  [5, "queryParameter", "message", "optional", () => HashQuery],
]);

export const HashHeader: MessageType<t.HashHeader> = message("envoy.config.route.v3.RouteAction.HashPolicy.Header", [
  [1, "headerName", "string", "plain"],
]);

export const HashCookie: MessageType<t.HashCookie> = message("envoy.config.route.v3.RouteAction.HashPolicy.Cookie", [
  [1, "name", "string", "plain"],
  [2, "ttl", "message", "optional", () => Duration],
  [3, "path", "string", "plain"],
  [4, "attributes", "message", "many", () => CookieAttribute],
]);

export const CookieAttribute: MessageType<t.CookieAttribute> = message("envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute", [
  [1, "name", "string", "plain"],
  [2, "value", "string", "plain"],
]);

export const HashConnection: MessageType<t.HashConnection> = message("envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties", [
  [1, "sourceIp", "bool", "plain"],
]);

export const HashQuery: MessageType<t.HashQuery> = message("envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter", [
  [1, "name", "string", "plain"],
]);

export const CorsFilter: MessageType<t.CorsFilter> = message("envoy.extensions.filters.http.cors.v3.Cors", [

]);

export const CorsPolicy: MessageType<t.CorsPolicy> = message("envoy.extensions.filters.http.cors.v3.CorsPolicy", [
  [1, "allowOriginStringMatch", "message", "many", () => StringMatcher],
  [2, "allowMethods", "string", "plain"],
  [3, "allowHeaders", "string", "plain"],
  [4, "exposeHeaders", "string", "plain"],
  [5, "maxAge", "string", "plain"],
  [6, "allowCredentials", "message", "optional", () => BoolValue],
  [10, "forwardNotMatchingPreflights", "message", "optional", () => BoolValue],
]);

export const WeightedCluster: MessageType<t.WeightedCluster> = message("envoy.config.route.v3.WeightedCluster", [
  [1, "clusters", "message", "many", () => ClusterWeight],
]);

export const ClusterWeight: MessageType<t.ClusterWeight> = message("envoy.config.route.v3.WeightedCluster.ClusterWeight", [
  [1, "name", "string", "plain"],
  [2, "weight", "message", "optional", () => UInt32Value],
  [11, "hostRewriteLiteral", "string", "optional"],
  [4, "requestHeadersToAdd", "message", "many", () => HeaderValueOption],
  [9, "requestHeadersToRemove", "string", "many"],
  [5, "responseHeadersToAdd", "message", "many", () => HeaderValueOption],
  [6, "responseHeadersToRemove", "string", "many"],
  [3, "metadataMatch", "message", "optional", () => Metadata],
]);

export const RetryPolicy: MessageType<t.RetryPolicy> = message("envoy.config.route.v3.RetryPolicy", [
  [1, "retryOn", "string", "plain"],
  [2, "numRetries", "message", "optional", () => UInt32Value],
  [3, "perTryTimeout", "message", "optional", () => Duration],
  [4, "retryPriority", "message", "optional", () => RetryPriority],
  [5, "retryHostPredicate", "message", "many", () => RetryHostPredicate],
  [6, "hostSelectionRetryMaxAttempts", "int64", "plain"],
  [7, "retriableStatusCodes", "uint32", "many"],
  [8, "retryBackOff", "message", "optional", () => RetryBackOff],
]);

export const RetryHostPredicate: MessageType<t.RetryHostPredicate> = message("envoy.config.route.v3.RetryPolicy.RetryHostPredicate", [
  [1, "name", "string", "plain"],
  [3, "typedConfig", "message", "optional", () => Any],
]);

export const RetryPriority: MessageType<t.RetryPriority> = message("envoy.config.route.v3.RetryPolicy.RetryPriority", [
  [1, "name", "string", "plain"],
  [3, "typedConfig", "message", "optional", () => Any],
]);

export const RetryBackOff: MessageType<t.RetryBackOff> = message("envoy.config.route.v3.RetryPolicy.RetryBackOff", [
  [1, "baseInterval", "message", "optional", () => Duration],
  [2, "maxInterval", "message", "optional", () => Duration],
]);

export const PreviousHostsPredicate: MessageType<t.PreviousHostsPredicate> = message("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", [

]);

export const PreviousPrioritiesConfig: MessageType<t.PreviousPrioritiesConfig> = message("envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", [
  [1, "updateFrequency", "int32", "plain"],
]);

export const RedirectAction: MessageType<t.RedirectAction> = message("envoy.config.route.v3.RedirectAction", [
  [1, "hostRedirect", "string", "plain"],
  [2, "pathRedirect", "string", "optional"],
  [5, "prefixRewrite", "string", "optional"],
  [7, "schemeRedirect", "string", "optional"],
  [8, "portRedirect", "uint32", "plain"],
  [3, "responseCode", "enum", "plain"],
]);

export const DirectResponseAction: MessageType<t.DirectResponseAction> = message("envoy.config.route.v3.DirectResponseAction", [
  [1, "status", "uint32", "plain"],
  [2, "body", "message", "optional", () => DataSource],
]);

export const Cluster: MessageType<t.Cluster> = message("envoy.config.cluster.v3.Cluster", [
  [1, "name", "string", "plain"],
  [2, "type", "enum", "optional"],
  [3, "edsClusterConfig", "message", "optional", () => EdsClusterConfig],
  [4, "connectTimeout", "message", "optional", () => Duration],
  [6, "lbPolicy", "enum", "plain"],
  [33, "loadAssignment", "message", "optional", () => ClusterLoadAssignment],
  [10, "circuitBreakers", "message", "optional", () => CircuitBreakers],
  [8, "healthChecks", "message", "many", () => HealthCheck],
  [19, "outlierDetection", "message", "optional", () => OutlierDetection],
  [24, "transportSocket", "message", "optional", () => TransportSocket],
  [43, "transportSocketMatches", "message", "many", () => TransportSocketMatch],
  [27, "commonLbConfig", "message", "optional", () => CommonLbConfig],
  [25, "metadata", "message", "optional", () => Metadata],
  [23, "ringHashLbConfig", "message", "optional", () => RingHashLbConfig],
  [52, "maglevLbConfig", "message", "optional", () => MaglevLbConfig],
  [37, "leastRequestLbConfig", "message", "optional", () => LeastRequestLbConfig],
  [56, "roundRobinLbConfig", "message", "optional", () => RoundRobinLbConfig],
  [29, "commonHttpProtocolOptions", "message", "optional", () => CommonHttpOptions],
  [36, "typedExtensionProtocolOptions", "message", "map", () => Any],
  [30, "upstreamConnectionOptions", "message", "optional", () => UpstreamConnectionOptions],
  [16, "dnsRefreshRate", "message", "optional", () => Duration],
  [39, "respectDnsTtl", "bool", "plain"],
  [17, "dnsLookupFamily", "enum", "plain"],
  [41, "loadBalancingPolicy", "message", "optional", () => LoadBalancingPolicy],
  [22, "lbSubsetConfig", "message", "optional", () => LbSubsetConfig],
]);

export const HttpProtocolOptions: MessageType<t.HttpProtocolOptions> = message("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", [
  [1, "commonHttpProtocolOptions", "message", "optional", () => CommonHttpOptions],
  [3, "explicitHttpConfig", "message", "optional", () => ExplicitHttpConfig],
  [4, "useDownstreamProtocolConfig", "message", "optional", () => DownstreamHttpConfig],
]);

export const ExplicitHttpConfig: MessageType<t.ExplicitHttpConfig> = message("envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig", [
  [1, "httpProtocolOptions", "message", "optional", () => Http1ProtocolOptions],
  [2, "http2ProtocolOptions", "message", "optional", () => Http2ProtocolOptions],
]);

export const DownstreamHttpConfig: MessageType<t.DownstreamHttpConfig> = message("envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig", [
  [1, "httpProtocolOptions", "message", "optional", () => Http1ProtocolOptions],
  [2, "http2ProtocolOptions", "message", "optional", () => Http2ProtocolOptions],
]);

export const Http1ProtocolOptions: MessageType<t.Http1ProtocolOptions> = message("envoy.config.core.v3.Http1ProtocolOptions", [

]);

export const Http2ProtocolOptions: MessageType<t.Http2ProtocolOptions> = message("envoy.config.core.v3.Http2ProtocolOptions", [
  [2, "maxConcurrentStreams", "message", "optional", () => UInt32Value],
  [15, "connectionKeepalive", "message", "optional", () => KeepaliveSettings],
]);

export const KeepaliveSettings: MessageType<t.KeepaliveSettings> = message("envoy.config.core.v3.KeepaliveSettings", [
  [1, "interval", "message", "optional", () => Duration],
  [2, "timeout", "message", "optional", () => Duration],
]);

export const EdsClusterConfig: MessageType<t.EdsClusterConfig> = message("envoy.config.cluster.v3.Cluster.EdsClusterConfig", [
  [1, "edsConfig", "message", "optional", () => ConfigSource],
  [2, "serviceName", "string", "plain"],
]);

export const CommonLbConfig: MessageType<t.CommonLbConfig> = message("envoy.config.cluster.v3.Cluster.CommonLbConfig", [
  [1, "healthyPanicThreshold", "message", "optional", () => Percent],
  [3, "localityWeightedLbConfig", "message", "optional", () => LocalityWeightedLbConfig],
  [2, "zoneAwareLbConfig", "message", "optional", () => CommonZoneAware],
  [7, "consistentHashingLbConfig", "message", "optional", () => CommonConsistentHashing],
]);

export const CommonZoneAware: MessageType<t.CommonZoneAware> = message("envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig", [
  [3, "failTrafficOnPanic", "bool", "plain"],
]);

export const CommonConsistentHashing: MessageType<t.CommonConsistentHashing> = message("envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig", [
  [1, "useHostnameForHashing", "bool", "plain"],
  [2, "hashBalanceFactor", "message", "optional", () => UInt32Value],
]);

export const LocalityWeightedLbConfig: MessageType<t.LocalityWeightedLbConfig> = message("envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig", [

]);

export const TransportSocketMatch: MessageType<t.TransportSocketMatch> = message("envoy.config.cluster.v3.Cluster.TransportSocketMatch", [
  [1, "name", "string", "plain"],
  [2, "match", "message", "optional", () => Struct],
  [3, "transportSocket", "message", "optional", () => TransportSocket],
]);

export const CircuitBreakers: MessageType<t.CircuitBreakers> = message("envoy.config.cluster.v3.CircuitBreakers", [
  [1, "thresholds", "message", "many", () => Thresholds],
]);

export const Thresholds: MessageType<t.Thresholds> = message("envoy.config.cluster.v3.CircuitBreakers.Thresholds", [
  [2, "maxConnections", "message", "optional", () => UInt32Value],
  [3, "maxPendingRequests", "message", "optional", () => UInt32Value],
  [4, "maxRequests", "message", "optional", () => UInt32Value],
  [5, "maxRetries", "message", "optional", () => UInt32Value],
  [8, "retryBudget", "message", "optional", () => RetryBudget],
]);

export const RetryBudget: MessageType<t.RetryBudget> = message("envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget", [
  [1, "budgetPercent", "message", "optional", () => Percent],
  [2, "minRetryConcurrency", "message", "optional", () => UInt32Value],
]);

export const RingHashLbConfig: MessageType<t.RingHashLbConfig> = message("envoy.config.cluster.v3.Cluster.RingHashLbConfig", [
  [1, "minimumRingSize", "message", "optional", () => UInt64Value],
  [4, "maximumRingSize", "message", "optional", () => UInt64Value],
]);

export const MaglevLbConfig: MessageType<t.MaglevLbConfig> = message("envoy.config.cluster.v3.Cluster.MaglevLbConfig", [
  [1, "tableSize", "message", "optional", () => UInt64Value],
]);

export const UInt64Value: MessageType<t.UInt64Value> = message("google.protobuf.UInt64Value", [
  [1, "value", "uint64", "plain"],
]);

export const LeastRequestLbConfig: MessageType<t.LeastRequestLbConfig> = message("envoy.config.cluster.v3.Cluster.LeastRequestLbConfig", [
  [1, "choiceCount", "message", "optional", () => UInt32Value],
  [2, "activeRequestBias", "message", "optional", () => RuntimeDouble],
  [3, "slowStartConfig", "message", "optional", () => SlowStartConfig],
]);

export const RoundRobinLbConfig: MessageType<t.RoundRobinLbConfig> = message("envoy.config.cluster.v3.Cluster.RoundRobinLbConfig", [
  [1, "slowStartConfig", "message", "optional", () => SlowStartConfig],
]);

export const LbSubsetConfig: MessageType<t.LbSubsetConfig> = message("envoy.config.cluster.v3.Cluster.LbSubsetConfig", [
  [1, "fallbackPolicy", "enum", "plain"],
  [2, "defaultSubset", "message", "optional", () => Struct],
  [3, "subsetSelectors", "message", "many", () => LbSubsetSelector],
  [4, "localityWeightAware", "bool", "plain"],
  [5, "scaleLocalityWeight", "bool", "plain"],
  [6, "panicModeAny", "bool", "plain"],
  [7, "listAsAny", "bool", "plain"],
  [8, "metadataFallbackPolicy", "enum", "plain"],
]);

export const LbSubsetSelector: MessageType<t.LbSubsetSelector> = message("envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector", [
  [1, "keys", "string", "many"],
  [2, "fallbackPolicy", "enum", "plain"],
  [4, "singleHostPerSubset", "bool", "plain"],
]);

export const LoadBalancingPolicy: MessageType<t.LoadBalancingPolicy> = message("envoy.config.cluster.v3.LoadBalancingPolicy", [
  [1, "policies", "message", "many", () => LoadBalancingChoice],
]);

export const LoadBalancingChoice: MessageType<t.LoadBalancingChoice> = message("envoy.config.cluster.v3.LoadBalancingPolicy.Policy", [
  [4, "typedExtensionConfig", "message", "optional", () => TypedExtensionConfig],
]);

export const TypedExtensionConfig: MessageType<t.TypedExtensionConfig> = message("envoy.config.core.v3.TypedExtensionConfig", [
  [1, "name", "string", "plain"],
  [2, "typedConfig", "message", "optional", () => Any],
]);

export const RoundRobinPolicy: MessageType<t.RoundRobinPolicy> = message("envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin", [
  [1, "slowStartConfig", "message", "optional", () => PolicySlowStart],
  [2, "localityLbConfig", "message", "optional", () => PolicyLocality],
]);

export const LeastRequestPolicy: MessageType<t.LeastRequestPolicy> = message("envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest", [
  [1, "choiceCount", "message", "optional", () => UInt32Value],
  [2, "activeRequestBias", "message", "optional", () => RuntimeDouble],
  [3, "slowStartConfig", "message", "optional", () => PolicySlowStart],
  [4, "localityLbConfig", "message", "optional", () => PolicyLocality],
  [5, "enableFullScan", "message", "optional", () => BoolValue],
  [6, "selectionMethod", "enum", "plain"],
]);

export const RandomPolicy: MessageType<t.RandomPolicy> = message("envoy.extensions.load_balancing_policies.random.v3.Random", [
  [1, "localityLbConfig", "message", "optional", () => PolicyLocality],
]);

export const RingHashPolicy: MessageType<t.RingHashPolicy> = message("envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash", [
  [2, "minimumRingSize", "message", "optional", () => UInt64Value],
  [3, "maximumRingSize", "message", "optional", () => UInt64Value],
  [4, "useHostnameForHashing", "bool", "plain"],
  [5, "hashBalanceFactor", "message", "optional", () => UInt32Value],
  [6, "consistentHashingLbConfig", "message", "optional", () => PolicyConsistentHashing],
  [7, "localityWeightedLbConfig", "message", "optional", () => PolicyLocalityWeighted],
]);

export const MaglevPolicy: MessageType<t.MaglevPolicy> = message("envoy.extensions.load_balancing_policies.maglev.v3.Maglev", [
  [1, "tableSize", "message", "optional", () => UInt64Value],
  [2, "consistentHashingLbConfig", "message", "optional", () => PolicyConsistentHashing],
  [3, "localityWeightedLbConfig", "message", "optional", () => PolicyLocalityWeighted],
]);

export const WrrLocality: MessageType<t.WrrLocality> = message("envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality", [
  [1, "endpointPickingPolicy", "message", "optional", () => LoadBalancingPolicy],
]);

export const ClientSideWeightedRoundRobin: MessageType<t.ClientSideWeightedRoundRobin> = message("envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin", [

]);

export const ClusterProvided: MessageType<t.ClusterProvided> = message("envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided", [

]);

export const PolicyLocality: MessageType<t.PolicyLocality> = message("envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig", [
  [1, "zoneAwareLbConfig", "message", "optional", () => PolicyZoneAware],
  [2, "localityWeightedLbConfig", "message", "optional", () => PolicyLocalityWeighted],
]);

export const PolicyZoneAware: MessageType<t.PolicyZoneAware> = message("envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig", [
  [3, "failTrafficOnPanic", "bool", "plain"],
]);

export const PolicyLocalityWeighted: MessageType<t.PolicyLocalityWeighted> = message("envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig", [

]);

export const PolicyConsistentHashing: MessageType<t.PolicyConsistentHashing> = message("envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig", [
  [1, "useHostnameForHashing", "bool", "plain"],
  [2, "hashBalanceFactor", "message", "optional", () => UInt32Value],
]);

export const PolicySlowStart: MessageType<t.PolicySlowStart> = message("envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig", [
  [1, "slowStartWindow", "message", "optional", () => Duration],
  [2, "aggression", "message", "optional", () => RuntimeDouble],
  [3, "minWeightPercent", "message", "optional", () => Percent],
]);

export const SlowStartConfig: MessageType<t.SlowStartConfig> = message("envoy.config.cluster.v3.Cluster.SlowStartConfig", [
  [1, "slowStartWindow", "message", "optional", () => Duration],
  [2, "aggression", "message", "optional", () => RuntimeDouble],
  [3, "minWeightPercent", "message", "optional", () => Percent],
]);

export const RuntimeDouble: MessageType<t.RuntimeDouble> = message("envoy.config.core.v3.RuntimeDouble", [
  [1, "defaultValue", "double", "plain"],
  [2, "runtimeKey", "string", "plain"],
]);

export const CommonHttpOptions: MessageType<t.CommonHttpOptions> = message("envoy.config.core.v3.HttpProtocolOptions", [
  [1, "idleTimeout", "message", "optional", () => Duration],
  [3, "maxConnectionDuration", "message", "optional", () => Duration],
  [6, "maxRequestsPerConnection", "message", "optional", () => UInt32Value],
]);

export const UpstreamConnectionOptions: MessageType<t.UpstreamConnectionOptions> = message("envoy.config.cluster.v3.UpstreamConnectionOptions", [
  [1, "tcpKeepalive", "message", "optional", () => TcpKeepalive],
]);

export const TcpKeepalive: MessageType<t.TcpKeepalive> = message("envoy.config.core.v3.TcpKeepalive", [
  [1, "keepaliveProbes", "message", "optional", () => UInt32Value],
  [2, "keepaliveTime", "message", "optional", () => UInt32Value],
  [3, "keepaliveInterval", "message", "optional", () => UInt32Value],
]);

export const OutlierDetection: MessageType<t.OutlierDetection> = message("envoy.config.cluster.v3.OutlierDetection", [
  [1, "consecutive5xx", "message", "optional", () => UInt32Value],
  [5, "enforcingConsecutive5xx", "message", "optional", () => UInt32Value],
  [10, "consecutiveGatewayFailure", "message", "optional", () => UInt32Value],
  [11, "enforcingConsecutiveGatewayFailure", "message", "optional", () => UInt32Value],
  [6, "enforcingSuccessRate", "message", "optional", () => UInt32Value],
  [2, "interval", "message", "optional", () => Duration],
  [3, "baseEjectionTime", "message", "optional", () => Duration],
  [4, "maxEjectionPercent", "message", "optional", () => UInt32Value],
  [7, "successRateMinimumHosts", "message", "optional", () => UInt32Value],
  [8, "successRateRequestVolume", "message", "optional", () => UInt32Value],
  [9, "successRateStdevFactor", "message", "optional", () => UInt32Value],
  [12, "splitExternalLocalOriginErrors", "bool", "plain"],
  [13, "consecutiveLocalOriginFailure", "message", "optional", () => UInt32Value],
  [14, "enforcingConsecutiveLocalOriginFailure", "message", "optional", () => UInt32Value],
  [16, "failurePercentageThreshold", "message", "optional", () => UInt32Value],
  [17, "enforcingFailurePercentage", "message", "optional", () => UInt32Value],
  [19, "failurePercentageMinimumHosts", "message", "optional", () => UInt32Value],
  [20, "failurePercentageRequestVolume", "message", "optional", () => UInt32Value],
]);

export const HealthCheck: MessageType<t.HealthCheck> = message("envoy.config.core.v3.HealthCheck", [
  [1, "timeout", "message", "optional", () => Duration],
  [2, "interval", "message", "optional", () => Duration],
  [20, "initialJitter", "message", "optional", () => Duration],
  [3, "intervalJitter", "message", "optional", () => Duration],
  [18, "intervalJitterPercent", "uint32", "plain"],
  [4, "unhealthyThreshold", "message", "optional", () => UInt32Value],
  [5, "healthyThreshold", "message", "optional", () => UInt32Value],
  [6, "altPort", "message", "optional", () => UInt32Value],
  [8, "httpHealthCheck", "message", "optional", () => HttpHealthCheck],
  [9, "tcpHealthCheck", "message", "optional", () => TcpHealthCheck],
  [11, "grpcHealthCheck", "message", "optional", () => GrpcHealthCheck],
  [12, "noTrafficInterval", "message", "optional", () => Duration],
  [14, "unhealthyInterval", "message", "optional", () => Duration],
]);

export const HttpHealthCheck: MessageType<t.HttpHealthCheck> = message("envoy.config.core.v3.HealthCheck.HttpHealthCheck", [
  [1, "host", "string", "plain"],
  [2, "path", "string", "plain"],
  [6, "requestHeadersToAdd", "message", "many", () => HeaderValueOption],
  [9, "expectedStatuses", "message", "many", () => Int64Range],
  [12, "retriableStatuses", "message", "many", () => Int64Range],
  [13, "method", "enum", "plain"],
]);

export const TcpHealthCheck: MessageType<t.TcpHealthCheck> = message("envoy.config.core.v3.HealthCheck.TcpHealthCheck", [
  [1, "send", "message", "optional", () => HealthPayload],
  [2, "receive", "message", "many", () => HealthPayload],
]);

export const GrpcHealthCheck: MessageType<t.GrpcHealthCheck> = message("envoy.config.core.v3.HealthCheck.GrpcHealthCheck", [
  [1, "serviceName", "string", "plain"],
  [2, "authority", "string", "plain"],
  [3, "initialMetadata", "message", "many", () => HeaderValueOption],
]);

export const HealthPayload: MessageType<t.HealthPayload> = message("envoy.config.core.v3.HealthCheck.Payload", [
  [1, "text", "string", "optional"],
  [2, "binary", "bytes", "optional"],
]);

export const Int64Range: MessageType<t.Int64Range> = message("envoy.type.v3.Int64Range", [
  [1, "start", "int64", "plain"],
  [2, "end", "int64", "plain"],
]);

export const ClusterLoadAssignment: MessageType<t.ClusterLoadAssignment> = message("envoy.config.endpoint.v3.ClusterLoadAssignment", [
  [1, "clusterName", "string", "plain"],
  [2, "endpoints", "message", "many", () => LocalityLbEndpoints],
  [4, "policy", "message", "optional", () => LoadPolicy],
]);

export const LoadPolicy: MessageType<t.LoadPolicy> = message("envoy.config.endpoint.v3.ClusterLoadAssignment.Policy", [
  [3, "overprovisioningFactor", "message", "optional", () => UInt32Value],
]);

export const LocalityLbEndpoints: MessageType<t.LocalityLbEndpoints> = message("envoy.config.endpoint.v3.LocalityLbEndpoints", [
  [1, "locality", "message", "optional", () => Locality],
  [2, "lbEndpoints", "message", "many", () => LbEndpoint],
  [3, "loadBalancingWeight", "message", "optional", () => UInt32Value],
  [5, "priority", "uint32", "plain"],
]);

export const Locality: MessageType<t.Locality> = message("envoy.config.core.v3.Locality", [
  [1, "region", "string", "plain"],
  [2, "zone", "string", "plain"],
  [3, "subZone", "string", "plain"],
]);

export const LbEndpoint: MessageType<t.LbEndpoint> = message("envoy.config.endpoint.v3.LbEndpoint", [
  [1, "endpoint", "message", "optional", () => EnvoyEndpoint],
  [2, "healthStatus", "enum", "plain"],
  [3, "metadata", "message", "optional", () => Metadata],
  [4, "loadBalancingWeight", "message", "optional", () => UInt32Value],
]);

export const EnvoyEndpoint: MessageType<t.EnvoyEndpoint> = message("envoy.config.endpoint.v3.Endpoint", [
  [1, "address", "message", "optional", () => Address],
  [3, "hostname", "string", "plain"],
]);

export const UpstreamProxyProtocol: MessageType<t.UpstreamProxyProtocol> = message("envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport", [
  [1, "config", "message", "optional", () => ProxyProtocolConfig],
  [2, "transportSocket", "message", "optional", () => TransportSocket],
]);

export const ProxyProtocolConfig: MessageType<t.ProxyProtocolConfig> = message("envoy.config.core.v3.ProxyProtocolConfig", [
  [1, "version", "enum", "plain"],
]);

export const RawBuffer: MessageType<t.RawBuffer> = message("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", [

]);

export const UpstreamTlsContext: MessageType<t.UpstreamTlsContext> = message("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", [
  [1, "commonTlsContext", "message", "optional", () => CommonTlsContext],
  [2, "sni", "string", "plain"],
]);

export const DownstreamTlsContext: MessageType<t.DownstreamTlsContext> = message("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", [
  [1, "commonTlsContext", "message", "optional", () => CommonTlsContext],
  [2, "requireClientCertificate", "message", "optional", () => BoolValue],
]);

export const CommonTlsContext: MessageType<t.CommonTlsContext> = message("envoy.extensions.transport_sockets.tls.v3.CommonTlsContext", [
  [1, "tlsParams", "message", "optional", () => TlsParameters],
  [4, "alpnProtocols", "string", "many"],
  [6, "tlsCertificateSdsSecretConfigs", "message", "many", () => SdsSecretConfig],
  [3, "validationContext", "message", "optional", () => CertificateValidationContext],
  [8, "combinedValidationContext", "message", "optional", () => CombinedValidationContext],
]);

export const TlsParameters: MessageType<t.TlsParameters> = message("envoy.extensions.transport_sockets.tls.v3.TlsParameters", [
  [1, "tlsMinimumProtocolVersion", "enum", "plain"],
  [2, "tlsMaximumProtocolVersion", "enum", "plain"],
]);

export const CombinedValidationContext: MessageType<t.CombinedValidationContext> = message("envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext", [
  [1, "defaultValidationContext", "message", "optional", () => CertificateValidationContext],
  [2, "validationContextSdsSecretConfig", "message", "optional", () => SdsSecretConfig],
]);

export const CertificateValidationContext: MessageType<t.CertificateValidationContext> = message("envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext", [
  [1, "trustedCa", "message", "optional", () => DataSource],
  [15, "matchTypedSubjectAltNames", "message", "many", () => SubjectAltNameMatcher],
]);

export const SubjectAltNameMatcher: MessageType<t.SubjectAltNameMatcher> = message("envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher", [
  [1, "sanType", "enum", "plain"],
  [2, "matcher", "message", "optional", () => StringMatcher],
]);

export const SdsSecretConfig: MessageType<t.SdsSecretConfig> = message("envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig", [
  [1, "name", "string", "plain"],
  [2, "sdsConfig", "message", "optional", () => ConfigSource],
]);

export const EnvoySecret: MessageType<t.EnvoySecret> = message("envoy.extensions.transport_sockets.tls.v3.Secret", [
  [1, "name", "string", "plain"],
  [2, "tlsCertificate", "message", "optional", () => TlsCertificate],
  [4, "validationContext", "message", "optional", () => CertificateValidationContext],
]);

export const TlsCertificate: MessageType<t.TlsCertificate> = message("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", [
  [1, "certificateChain", "message", "optional", () => DataSource],
  [2, "privateKey", "message", "optional", () => DataSource],
]);

export const CertificateRequest: MessageType<t.CertificateRequest> = message("istio.v1.auth.IstioCertificateRequest", [
  [1, "csr", "string", "plain"],
  [3, "validityDuration", "int64", "plain"],
  [4, "metadata", "message", "optional", () => Struct],
]);

export const CertificateResponse: MessageType<t.CertificateResponse> = message("istio.v1.auth.IstioCertificateResponse", [
  [1, "certChain", "string", "many"],
]);

export const JsonResource: MessageType<t.JsonResource> = message("heddle.node.v1.JsonResource", [
  [1, "json", "string", "plain"],
]);

export const Snapshot: MessageType<t.Snapshot> = message("heddle.snapshot.v1.Snapshot", [
  [1, "version", "string", "plain"],
]);
