// Made by scripts/generate-xds.ts from src/wire/xds/messages.txt; do not edit.

/** google.protobuf.Any */
export interface Any {
  readonly typeUrl?: string | undefined;
  readonly value?: Uint8Array | undefined;
}

/** google.protobuf.Duration */
export interface Duration {
  readonly seconds?: number | undefined;
  readonly nanos?: number | undefined;
}

/** google.protobuf.BoolValue */
export interface BoolValue {
  readonly value?: boolean | undefined;
}

/** google.protobuf.UInt32Value */
export interface UInt32Value {
  readonly value?: number | undefined;
}

/** google.protobuf.Struct */
export interface Struct {
  readonly fields?: Readonly<Record<string, Value>> | undefined;
}

/** google.protobuf.Value */
export interface Value {
  readonly nullValue?: number | undefined;
  readonly numberValue?: number | undefined;
  readonly stringValue?: string | undefined;
  readonly boolValue?: boolean | undefined;
  readonly structValue?: Struct | undefined;
  readonly listValue?: ListValue | undefined;
}

/** google.protobuf.ListValue */
export interface ListValue {
  readonly values?: readonly Value[] | undefined;
}

/** google.rpc.Status */
export interface RpcStatus {
  readonly code?: number | undefined;
  readonly message?: string | undefined;
}

/** envoy.service.discovery.v3.DeltaDiscoveryRequest */
export interface DeltaDiscoveryRequest {
  readonly node?: Node | undefined;
  readonly typeUrl?: string | undefined;
  readonly resourceNamesSubscribe?: readonly string[] | undefined;
  readonly resourceNamesUnsubscribe?: readonly string[] | undefined;
  readonly initialResourceVersions?: Readonly<Record<string, string>> | undefined;
  readonly responseNonce?: string | undefined;
  readonly errorDetail?: RpcStatus | undefined;
}

/** envoy.service.discovery.v3.DeltaDiscoveryResponse */
export interface DeltaDiscoveryResponse {
  readonly systemVersionInfo?: string | undefined;
  readonly resources?: readonly Resource[] | undefined;
  readonly typeUrl?: string | undefined;
  readonly nonce?: string | undefined;
  readonly removedResources?: readonly string[] | undefined;
  readonly controlPlane?: ControlPlane | undefined;
}

/** envoy.service.discovery.v3.Resource */
export interface Resource {
  readonly version?: string | undefined;
  readonly resource?: Any | undefined;
  readonly name?: string | undefined;
  readonly aliases?: readonly string[] | undefined;
}

/** envoy.config.core.v3.ControlPlane */
export interface ControlPlane {
  readonly identifier?: string | undefined;
}

/** envoy.config.core.v3.Node */
export interface Node {
  readonly id?: string | undefined;
  readonly cluster?: string | undefined;
  readonly metadata?: Struct | undefined;
  readonly userAgentName?: string | undefined;
  readonly userAgentVersion?: string | undefined;
}

/** envoy.config.core.v3.Metadata */
export interface Metadata {
  readonly filterMetadata?: Readonly<Record<string, Struct>> | undefined;
}

/** envoy.config.core.v3.Address */
export interface Address {
  readonly socketAddress?: SocketAddress | undefined;
}

/** envoy.config.core.v3.SocketAddress */
export interface SocketAddress {
  readonly address?: string | undefined;
  readonly portValue?: number | undefined;
}

/** envoy.config.core.v3.CidrRange */
export interface CidrRange {
  readonly addressPrefix?: string | undefined;
  readonly prefixLen?: UInt32Value | undefined;
}

/** envoy.config.core.v3.DataSource */
export interface DataSource {
  readonly filename?: string | undefined;
  readonly inlineBytes?: Uint8Array | undefined;
  readonly inlineString?: string | undefined;
}

/** envoy.config.core.v3.TransportSocket */
export interface TransportSocket {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
}

/** envoy.config.core.v3.HeaderValue */
export interface HeaderValue {
  readonly key?: string | undefined;
  readonly value?: string | undefined;
}

/** envoy.config.core.v3.HeaderValueOption */
export interface HeaderValueOption {
  readonly header?: HeaderValue | undefined;
  readonly appendAction?: number | undefined;
}

/** envoy.config.core.v3.RuntimeFractionalPercent */
export interface RuntimeFractionalPercent {
  readonly defaultValue?: FractionalPercent | undefined;
}

/** envoy.type.v3.Percent */
export interface Percent {
  readonly value?: number | undefined;
}

/** envoy.type.v3.FractionalPercent */
export interface FractionalPercent {
  readonly numerator?: number | undefined;
  readonly denominator?: number | undefined;
}

/** envoy.config.core.v3.ConfigSource */
export interface ConfigSource {
  readonly ads?: AggregatedConfigSource | undefined;
  readonly apiConfigSource?: ApiConfigSource | undefined;
  readonly initialFetchTimeout?: Duration | undefined;
  readonly resourceApiVersion?: number | undefined;
}

/** envoy.config.core.v3.AggregatedConfigSource */
export type AggregatedConfigSource = Readonly<Record<never, never>>;

/** envoy.config.core.v3.ApiConfigSource */
export interface ApiConfigSource {
  readonly apiType?: number | undefined;
  readonly transportApiVersion?: number | undefined;
  readonly grpcServices?: readonly GrpcService[] | undefined;
  readonly setNodeOnFirstMessageOnly?: boolean | undefined;
}

/** envoy.config.core.v3.GrpcService */
export interface GrpcService {
  readonly envoyGrpc?: EnvoyGrpc | undefined;
}

/** envoy.config.core.v3.GrpcService.EnvoyGrpc */
export interface EnvoyGrpc {
  readonly clusterName?: string | undefined;
}

/** envoy.type.matcher.v3.StringMatcher */
export interface StringMatcher {
  readonly exact?: string | undefined;
  readonly prefix?: string | undefined;
  readonly suffix?: string | undefined;
  readonly safeRegex?: RegexMatcher | undefined;
  readonly ignoreCase?: boolean | undefined;
}

/** envoy.type.matcher.v3.RegexMatcher */
export interface RegexMatcher {
  readonly regex?: string | undefined;
}

/** envoy.type.matcher.v3.PathMatcher */
export interface PathMatcher {
  readonly path?: StringMatcher | undefined;
}

/** envoy.config.listener.v3.Listener */
export interface Listener {
  readonly name?: string | undefined;
  readonly address?: Address | undefined;
  readonly filterChains?: readonly FilterChain[] | undefined;
  readonly useOriginalDst?: BoolValue | undefined;
  readonly defaultFilterChain?: FilterChain | undefined;
  readonly listenerFilters?: readonly ListenerFilter[] | undefined;
  readonly listenerFiltersTimeout?: Duration | undefined;
  readonly continueOnListenerFiltersTimeout?: boolean | undefined;
  readonly trafficDirection?: number | undefined;
  readonly bindToPort?: BoolValue | undefined;
}

/** envoy.config.listener.v3.FilterChain */
export interface FilterChain {
  readonly filterChainMatch?: FilterChainMatch | undefined;
  readonly filters?: readonly Filter[] | undefined;
  readonly transportSocket?: TransportSocket | undefined;
  readonly name?: string | undefined;
}

/** envoy.config.listener.v3.FilterChainMatch */
export interface FilterChainMatch {
  readonly destinationPort?: UInt32Value | undefined;
  readonly prefixRanges?: readonly CidrRange[] | undefined;
  readonly serverNames?: readonly string[] | undefined;
  readonly transportProtocol?: string | undefined;
  readonly applicationProtocols?: readonly string[] | undefined;
}

/** envoy.config.listener.v3.Filter */
export interface Filter {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
}

/** envoy.config.listener.v3.ListenerFilter */
export interface ListenerFilter {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
}

/** envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector */
export type TlsInspector = Readonly<Record<never, never>>;

/** envoy.extensions.filters.listener.http_inspector.v3.HttpInspector */
export type HttpInspector = Readonly<Record<never, never>>;

/** envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol */
export interface ProxyProtocol {
  readonly allowRequestsWithoutProxyProtocol?: boolean | undefined;
}

/** envoy.extensions.filters.listener.original_dst.v3.OriginalDst */
export type OriginalDst = Readonly<Record<never, never>>;

/** envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy */
export interface TcpProxy {
  readonly statPrefix?: string | undefined;
  readonly cluster?: string | undefined;
  readonly weightedClusters?: TcpWeightedCluster | undefined;
  readonly idleTimeout?: Duration | undefined;
  readonly accessLog?: readonly AccessLog[] | undefined;
  readonly metadataMatch?: Metadata | undefined;
}

/** envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster */
export interface TcpWeightedCluster {
  readonly clusters?: readonly TcpClusterWeight[] | undefined;
}

/** envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight */
export interface TcpClusterWeight {
  readonly name?: string | undefined;
  readonly weight?: number | undefined;
  readonly metadataMatch?: Metadata | undefined;
}

/** envoy.extensions.filters.network.rbac.v3.RBAC */
export interface NetworkRbac {
  readonly rules?: Rbac | undefined;
  readonly statPrefix?: string | undefined;
}

/** envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager */
export interface HttpConnectionManager {
  readonly codecType?: number | undefined;
  readonly statPrefix?: string | undefined;
  readonly rds?: Rds | undefined;
  readonly routeConfig?: RouteConfiguration | undefined;
  readonly httpFilters?: readonly HttpFilter[] | undefined;
  readonly useRemoteAddress?: BoolValue | undefined;
  readonly xffNumTrustedHops?: number | undefined;
  readonly forwardClientCertDetails?: number | undefined;
  readonly setCurrentClientCertDetails?: SetCurrentClientCertDetails | undefined;
  readonly streamIdleTimeout?: Duration | undefined;
  readonly upgradeConfigs?: readonly UpgradeConfig[] | undefined;
  readonly normalizePath?: BoolValue | undefined;
  readonly accessLog?: readonly AccessLog[] | undefined;
  readonly tracing?: HttpTracing | undefined;
}

/** envoy.config.accesslog.v3.AccessLog */
export interface AccessLog {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
}

/** envoy.extensions.access_loggers.file.v3.FileAccessLog */
export interface FileAccessLog {
  readonly path?: string | undefined;
}

/** envoy.extensions.access_loggers.stream.v3.StdoutAccessLog */
export type StdoutAccessLog = Readonly<Record<never, never>>;

/** envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing */
export interface HttpTracing {
  readonly randomSampling?: Percent | undefined;
  readonly provider?: TracingProvider | undefined;
}

/** envoy.config.trace.v3.Tracing.Http */
export interface TracingProvider {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
}

/** envoy.config.trace.v3.OpenTelemetryConfig */
export interface OpenTelemetryConfig {
  readonly httpService?: HttpService | undefined;
  readonly serviceName?: string | undefined;
}

/** envoy.config.core.v3.HttpService */
export interface HttpService {
  readonly httpUri?: HttpUri | undefined;
}

/** envoy.config.core.v3.HttpUri */
export interface HttpUri {
  readonly uri?: string | undefined;
  readonly cluster?: string | undefined;
  readonly timeout?: Duration | undefined;
}

/** envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails */
export interface SetCurrentClientCertDetails {
  readonly subject?: BoolValue | undefined;
  readonly uri?: boolean | undefined;
  readonly dns?: boolean | undefined;
}

/** envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig */
export interface UpgradeConfig {
  readonly upgradeType?: string | undefined;
}

/** envoy.extensions.filters.network.http_connection_manager.v3.Rds */
export interface Rds {
  readonly configSource?: ConfigSource | undefined;
  readonly routeConfigName?: string | undefined;
}

/** envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter */
export interface HttpFilter {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
  readonly isOptional?: boolean | undefined;
}

/** envoy.extensions.filters.http.router.v3.Router */
export type Router = Readonly<Record<never, never>>;

/** envoy.extensions.filters.http.grpc_web.v3.GrpcWeb */
export type GrpcWeb = Readonly<Record<never, never>>;

/** envoy.extensions.filters.http.rbac.v3.RBAC */
export interface HttpRbac {
  readonly rules?: Rbac | undefined;
}

/** envoy.extensions.filters.http.fault.v3.HTTPFault */
export interface HttpFault {
  readonly delay?: FaultDelay | undefined;
  readonly abort?: FaultAbort | undefined;
}

/** envoy.extensions.filters.common.fault.v3.FaultDelay */
export interface FaultDelay {
  readonly fixedDelay?: Duration | undefined;
  readonly percentage?: FractionalPercent | undefined;
}

/** envoy.extensions.filters.http.fault.v3.FaultAbort */
export interface FaultAbort {
  readonly httpStatus?: number | undefined;
  readonly percentage?: FractionalPercent | undefined;
  readonly grpcStatus?: number | undefined;
}

/** envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit */
export interface LocalRateLimit {
  readonly statPrefix?: string | undefined;
  readonly tokenBucket?: TokenBucket | undefined;
  readonly filterEnabled?: RuntimeFractionalPercent | undefined;
  readonly filterEnforced?: RuntimeFractionalPercent | undefined;
  readonly descriptors?: readonly LocalRateLimitDescriptor[] | undefined;
  readonly localRateLimitPerDownstreamConnection?: boolean | undefined;
}

/** envoy.type.v3.TokenBucket */
export interface TokenBucket {
  readonly maxTokens?: number | undefined;
  readonly tokensPerFill?: UInt32Value | undefined;
  readonly fillInterval?: Duration | undefined;
}

/** envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor */
export interface LocalRateLimitDescriptor {
  readonly tokenBucket?: TokenBucket | undefined;
}

/** envoy.config.rbac.v3.RBAC */
export interface Rbac {
  readonly action?: number | undefined;
  readonly policies?: Readonly<Record<string, RbacPolicy>> | undefined;
}

/** envoy.config.rbac.v3.Policy */
export interface RbacPolicy {
  readonly permissions?: readonly Permission[] | undefined;
  readonly principals?: readonly Principal[] | undefined;
}

/** envoy.config.rbac.v3.Permission */
export interface Permission {
  readonly andRules?: PermissionSet | undefined;
  readonly orRules?: PermissionSet | undefined;
  readonly any?: boolean | undefined;
  readonly header?: HeaderMatcher | undefined;
  readonly urlPath?: PathMatcher | undefined;
  readonly destinationPort?: number | undefined;
  readonly notRule?: Permission | undefined;
}

/** envoy.config.rbac.v3.Permission.Set */
export interface PermissionSet {
  readonly rules?: readonly Permission[] | undefined;
}

/** envoy.config.rbac.v3.Principal */
export interface Principal {
  readonly andIds?: PrincipalSet | undefined;
  readonly orIds?: PrincipalSet | undefined;
  readonly any?: boolean | undefined;
  readonly authenticated?: Authenticated | undefined;
  readonly directRemoteIp?: CidrRange | undefined;
  readonly remoteIp?: CidrRange | undefined;
  readonly header?: HeaderMatcher | undefined;
  readonly notId?: Principal | undefined;
}

/** envoy.config.rbac.v3.Principal.Set */
export interface PrincipalSet {
  readonly ids?: readonly Principal[] | undefined;
}

/** envoy.config.rbac.v3.Principal.Authenticated */
export interface Authenticated {
  readonly principalName?: StringMatcher | undefined;
}

/** envoy.config.route.v3.RouteConfiguration */
export interface RouteConfiguration {
  readonly name?: string | undefined;
  readonly virtualHosts?: readonly VirtualHost[] | undefined;
  readonly validateClusters?: BoolValue | undefined;
  readonly ignorePortInHostMatching?: boolean | undefined;
}

/** envoy.config.route.v3.VirtualHost */
export interface VirtualHost {
  readonly name?: string | undefined;
  readonly domains?: readonly string[] | undefined;
  readonly routes?: readonly Route[] | undefined;
  readonly includeRequestAttemptCount?: boolean | undefined;
}

/** envoy.config.route.v3.Route */
export interface Route {
  readonly name?: string | undefined;
  readonly match?: RouteMatch | undefined;
  readonly route?: RouteAction | undefined;
  readonly redirect?: RedirectAction | undefined;
  readonly directResponse?: DirectResponseAction | undefined;
  readonly metadata?: Metadata | undefined;
  readonly typedPerFilterConfig?: Readonly<Record<string, Any>> | undefined;
  readonly requestHeadersToAdd?: readonly HeaderValueOption[] | undefined;
  readonly requestHeadersToRemove?: readonly string[] | undefined;
  readonly responseHeadersToAdd?: readonly HeaderValueOption[] | undefined;
  readonly responseHeadersToRemove?: readonly string[] | undefined;
}

/** envoy.config.route.v3.RouteMatch */
export interface RouteMatch {
  readonly prefix?: string | undefined;
  readonly path?: string | undefined;
  readonly safeRegex?: RegexMatcher | undefined;
  readonly caseSensitive?: BoolValue | undefined;
  readonly headers?: readonly HeaderMatcher[] | undefined;
  readonly queryParameters?: readonly QueryParameterMatcher[] | undefined;
}

/** envoy.config.route.v3.QueryParameterMatcher */
export interface QueryParameterMatcher {
  readonly name?: string | undefined;
  readonly stringMatch?: StringMatcher | undefined;
  readonly presentMatch?: boolean | undefined;
}

/** envoy.config.route.v3.HeaderMatcher */
export interface HeaderMatcher {
  readonly name?: string | undefined;
  readonly stringMatch?: StringMatcher | undefined;
  readonly presentMatch?: boolean | undefined;
  readonly invertMatch?: boolean | undefined;
  readonly treatMissingHeaderAsEmpty?: boolean | undefined;
}

/** envoy.config.route.v3.RouteAction */
export interface RouteAction {
  readonly cluster?: string | undefined;
  readonly weightedClusters?: WeightedCluster | undefined;
  readonly prefixRewrite?: string | undefined;
  readonly regexRewrite?: RegexMatchAndSubstitute | undefined;
  readonly hostRewriteLiteral?: string | undefined;
  readonly timeout?: Duration | undefined;
  readonly maxGrpcTimeout?: Duration | undefined;
  readonly retryPolicy?: RetryPolicy | undefined;
  readonly hashPolicy?: readonly HashPolicy[] | undefined;
  readonly requestMirrorPolicies?: readonly RequestMirrorPolicy[] | undefined;
  readonly metadataMatch?: Metadata | undefined;
}

/** envoy.config.route.v3.RouteAction.RequestMirrorPolicy */
export interface RequestMirrorPolicy {
  readonly cluster?: string | undefined;
  readonly runtimeFraction?: RuntimeFractionalPercent | undefined;
}

/** envoy.type.matcher.v3.RegexMatchAndSubstitute */
export interface RegexMatchAndSubstitute {
  readonly pattern?: RegexMatcher | undefined;
  readonly substitution?: string | undefined;
}

/** envoy.config.route.v3.RouteAction.HashPolicy */
export interface HashPolicy {
  readonly header?: HashHeader | undefined;
  readonly cookie?: HashCookie | undefined;
  readonly connectionProperties?: HashConnection | undefined;
  readonly queryParameter?: HashQuery | undefined;
}

/** envoy.config.route.v3.RouteAction.HashPolicy.Header */
export interface HashHeader {
  readonly headerName?: string | undefined;
}

/** envoy.config.route.v3.RouteAction.HashPolicy.Cookie */
export interface HashCookie {
  readonly name?: string | undefined;
  readonly ttl?: Duration | undefined;
  readonly path?: string | undefined;
  readonly attributes?: readonly CookieAttribute[] | undefined;
}

/** envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute */
export interface CookieAttribute {
  readonly name?: string | undefined;
  readonly value?: string | undefined;
}

/** envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties */
export interface HashConnection {
  readonly sourceIp?: boolean | undefined;
}

/** envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter */
export interface HashQuery {
  readonly name?: string | undefined;
}

/** envoy.extensions.filters.http.cors.v3.Cors */
export type CorsFilter = Readonly<Record<never, never>>;

/** envoy.extensions.filters.http.cors.v3.CorsPolicy */
export interface CorsPolicy {
  readonly allowOriginStringMatch?: readonly StringMatcher[] | undefined;
  readonly allowMethods?: string | undefined;
  readonly allowHeaders?: string | undefined;
  readonly exposeHeaders?: string | undefined;
  readonly maxAge?: string | undefined;
  readonly allowCredentials?: BoolValue | undefined;
  readonly forwardNotMatchingPreflights?: BoolValue | undefined;
}

/** envoy.config.route.v3.WeightedCluster */
export interface WeightedCluster {
  readonly clusters?: readonly ClusterWeight[] | undefined;
}

/** envoy.config.route.v3.WeightedCluster.ClusterWeight */
export interface ClusterWeight {
  readonly name?: string | undefined;
  readonly weight?: UInt32Value | undefined;
  readonly hostRewriteLiteral?: string | undefined;
  readonly requestHeadersToAdd?: readonly HeaderValueOption[] | undefined;
  readonly requestHeadersToRemove?: readonly string[] | undefined;
  readonly responseHeadersToAdd?: readonly HeaderValueOption[] | undefined;
  readonly responseHeadersToRemove?: readonly string[] | undefined;
  readonly metadataMatch?: Metadata | undefined;
}

/** envoy.config.route.v3.RetryPolicy */
export interface RetryPolicy {
  readonly retryOn?: string | undefined;
  readonly numRetries?: UInt32Value | undefined;
  readonly perTryTimeout?: Duration | undefined;
  readonly retryPriority?: RetryPriority | undefined;
  readonly retryHostPredicate?: readonly RetryHostPredicate[] | undefined;
  readonly hostSelectionRetryMaxAttempts?: number | undefined;
  readonly retriableStatusCodes?: readonly number[] | undefined;
  readonly retryBackOff?: RetryBackOff | undefined;
}

/** envoy.config.route.v3.RetryPolicy.RetryHostPredicate */
export interface RetryHostPredicate {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
}

/** envoy.config.route.v3.RetryPolicy.RetryPriority */
export interface RetryPriority {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
}

/** envoy.config.route.v3.RetryPolicy.RetryBackOff */
export interface RetryBackOff {
  readonly baseInterval?: Duration | undefined;
  readonly maxInterval?: Duration | undefined;
}

/** envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate */
export type PreviousHostsPredicate = Readonly<Record<never, never>>;

/** envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig */
export interface PreviousPrioritiesConfig {
  readonly updateFrequency?: number | undefined;
}

/** envoy.config.route.v3.RedirectAction */
export interface RedirectAction {
  readonly hostRedirect?: string | undefined;
  readonly pathRedirect?: string | undefined;
  readonly prefixRewrite?: string | undefined;
  readonly schemeRedirect?: string | undefined;
  readonly portRedirect?: number | undefined;
  readonly responseCode?: number | undefined;
}

/** envoy.config.route.v3.DirectResponseAction */
export interface DirectResponseAction {
  readonly status?: number | undefined;
  readonly body?: DataSource | undefined;
}

/** envoy.config.cluster.v3.Cluster */
export interface Cluster {
  readonly name?: string | undefined;
  readonly type?: number | undefined;
  readonly edsClusterConfig?: EdsClusterConfig | undefined;
  readonly connectTimeout?: Duration | undefined;
  readonly lbPolicy?: number | undefined;
  readonly loadAssignment?: ClusterLoadAssignment | undefined;
  readonly circuitBreakers?: CircuitBreakers | undefined;
  readonly healthChecks?: readonly HealthCheck[] | undefined;
  readonly outlierDetection?: OutlierDetection | undefined;
  readonly transportSocket?: TransportSocket | undefined;
  readonly transportSocketMatches?: readonly TransportSocketMatch[] | undefined;
  readonly commonLbConfig?: CommonLbConfig | undefined;
  readonly metadata?: Metadata | undefined;
  readonly ringHashLbConfig?: RingHashLbConfig | undefined;
  readonly maglevLbConfig?: MaglevLbConfig | undefined;
  readonly leastRequestLbConfig?: LeastRequestLbConfig | undefined;
  readonly roundRobinLbConfig?: RoundRobinLbConfig | undefined;
  readonly commonHttpProtocolOptions?: CommonHttpOptions | undefined;
  readonly typedExtensionProtocolOptions?: Readonly<Record<string, Any>> | undefined;
  readonly upstreamConnectionOptions?: UpstreamConnectionOptions | undefined;
  readonly dnsRefreshRate?: Duration | undefined;
  readonly respectDnsTtl?: boolean | undefined;
  readonly dnsLookupFamily?: number | undefined;
  readonly loadBalancingPolicy?: LoadBalancingPolicy | undefined;
  readonly lbSubsetConfig?: LbSubsetConfig | undefined;
}

/** envoy.extensions.upstreams.http.v3.HttpProtocolOptions */
export interface HttpProtocolOptions {
  readonly commonHttpProtocolOptions?: CommonHttpOptions | undefined;
  readonly explicitHttpConfig?: ExplicitHttpConfig | undefined;
  readonly useDownstreamProtocolConfig?: DownstreamHttpConfig | undefined;
}

/** envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig */
export interface ExplicitHttpConfig {
  readonly httpProtocolOptions?: Http1ProtocolOptions | undefined;
  readonly http2ProtocolOptions?: Http2ProtocolOptions | undefined;
}

/** envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig */
export interface DownstreamHttpConfig {
  readonly httpProtocolOptions?: Http1ProtocolOptions | undefined;
  readonly http2ProtocolOptions?: Http2ProtocolOptions | undefined;
}

/** envoy.config.core.v3.Http1ProtocolOptions */
export type Http1ProtocolOptions = Readonly<Record<never, never>>;

/** envoy.config.core.v3.Http2ProtocolOptions */
export interface Http2ProtocolOptions {
  readonly maxConcurrentStreams?: UInt32Value | undefined;
  readonly connectionKeepalive?: KeepaliveSettings | undefined;
}

/** envoy.config.core.v3.KeepaliveSettings */
export interface KeepaliveSettings {
  readonly interval?: Duration | undefined;
  readonly timeout?: Duration | undefined;
}

/** envoy.config.cluster.v3.Cluster.EdsClusterConfig */
export interface EdsClusterConfig {
  readonly edsConfig?: ConfigSource | undefined;
  readonly serviceName?: string | undefined;
}

/** envoy.config.cluster.v3.Cluster.CommonLbConfig */
export interface CommonLbConfig {
  readonly healthyPanicThreshold?: Percent | undefined;
  readonly localityWeightedLbConfig?: LocalityWeightedLbConfig | undefined;
  readonly zoneAwareLbConfig?: CommonZoneAware | undefined;
  readonly consistentHashingLbConfig?: CommonConsistentHashing | undefined;
}

/** envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig */
export interface CommonZoneAware {
  readonly failTrafficOnPanic?: boolean | undefined;
}

/** envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig */
export interface CommonConsistentHashing {
  readonly useHostnameForHashing?: boolean | undefined;
  readonly hashBalanceFactor?: UInt32Value | undefined;
}

/** envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig */
export type LocalityWeightedLbConfig = Readonly<Record<never, never>>;

/** envoy.config.cluster.v3.Cluster.TransportSocketMatch */
export interface TransportSocketMatch {
  readonly name?: string | undefined;
  readonly match?: Struct | undefined;
  readonly transportSocket?: TransportSocket | undefined;
}

/** envoy.config.cluster.v3.CircuitBreakers */
export interface CircuitBreakers {
  readonly thresholds?: readonly Thresholds[] | undefined;
}

/** envoy.config.cluster.v3.CircuitBreakers.Thresholds */
export interface Thresholds {
  readonly maxConnections?: UInt32Value | undefined;
  readonly maxPendingRequests?: UInt32Value | undefined;
  readonly maxRequests?: UInt32Value | undefined;
  readonly maxRetries?: UInt32Value | undefined;
  readonly retryBudget?: RetryBudget | undefined;
}

/** envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget */
export interface RetryBudget {
  readonly budgetPercent?: Percent | undefined;
  readonly minRetryConcurrency?: UInt32Value | undefined;
}

/** envoy.config.cluster.v3.Cluster.RingHashLbConfig */
export interface RingHashLbConfig {
  readonly minimumRingSize?: UInt64Value | undefined;
  readonly maximumRingSize?: UInt64Value | undefined;
}

/** envoy.config.cluster.v3.Cluster.MaglevLbConfig */
export interface MaglevLbConfig {
  readonly tableSize?: UInt64Value | undefined;
}

/** google.protobuf.UInt64Value */
export interface UInt64Value {
  readonly value?: number | undefined;
}

/** envoy.config.cluster.v3.Cluster.LeastRequestLbConfig */
export interface LeastRequestLbConfig {
  readonly choiceCount?: UInt32Value | undefined;
  readonly activeRequestBias?: RuntimeDouble | undefined;
  readonly slowStartConfig?: SlowStartConfig | undefined;
}

/** envoy.config.cluster.v3.Cluster.RoundRobinLbConfig */
export interface RoundRobinLbConfig {
  readonly slowStartConfig?: SlowStartConfig | undefined;
}

/** envoy.config.cluster.v3.Cluster.LbSubsetConfig */
export interface LbSubsetConfig {
  readonly fallbackPolicy?: number | undefined;
  readonly defaultSubset?: Struct | undefined;
  readonly subsetSelectors?: readonly LbSubsetSelector[] | undefined;
  readonly localityWeightAware?: boolean | undefined;
  readonly scaleLocalityWeight?: boolean | undefined;
  readonly panicModeAny?: boolean | undefined;
  readonly listAsAny?: boolean | undefined;
  readonly metadataFallbackPolicy?: number | undefined;
}

/** envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector */
export interface LbSubsetSelector {
  readonly keys?: readonly string[] | undefined;
  readonly fallbackPolicy?: number | undefined;
  readonly singleHostPerSubset?: boolean | undefined;
}

/** envoy.config.cluster.v3.LoadBalancingPolicy */
export interface LoadBalancingPolicy {
  readonly policies?: readonly LoadBalancingChoice[] | undefined;
}

/** envoy.config.cluster.v3.LoadBalancingPolicy.Policy */
export interface LoadBalancingChoice {
  readonly typedExtensionConfig?: TypedExtensionConfig | undefined;
}

/** envoy.config.core.v3.TypedExtensionConfig */
export interface TypedExtensionConfig {
  readonly name?: string | undefined;
  readonly typedConfig?: Any | undefined;
}

/** envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin */
export interface RoundRobinPolicy {
  readonly slowStartConfig?: PolicySlowStart | undefined;
  readonly localityLbConfig?: PolicyLocality | undefined;
}

/** envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest */
export interface LeastRequestPolicy {
  readonly choiceCount?: UInt32Value | undefined;
  readonly activeRequestBias?: RuntimeDouble | undefined;
  readonly slowStartConfig?: PolicySlowStart | undefined;
  readonly localityLbConfig?: PolicyLocality | undefined;
  readonly enableFullScan?: BoolValue | undefined;
  readonly selectionMethod?: number | undefined;
}

/** envoy.extensions.load_balancing_policies.random.v3.Random */
export interface RandomPolicy {
  readonly localityLbConfig?: PolicyLocality | undefined;
}

/** envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash */
export interface RingHashPolicy {
  readonly minimumRingSize?: UInt64Value | undefined;
  readonly maximumRingSize?: UInt64Value | undefined;
  readonly useHostnameForHashing?: boolean | undefined;
  readonly hashBalanceFactor?: UInt32Value | undefined;
  readonly consistentHashingLbConfig?: PolicyConsistentHashing | undefined;
  readonly localityWeightedLbConfig?: PolicyLocalityWeighted | undefined;
}

/** envoy.extensions.load_balancing_policies.maglev.v3.Maglev */
export interface MaglevPolicy {
  readonly tableSize?: UInt64Value | undefined;
  readonly consistentHashingLbConfig?: PolicyConsistentHashing | undefined;
  readonly localityWeightedLbConfig?: PolicyLocalityWeighted | undefined;
}

/** envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality */
export interface WrrLocality {
  readonly endpointPickingPolicy?: LoadBalancingPolicy | undefined;
}

/** envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin */
export type ClientSideWeightedRoundRobin = Readonly<Record<never, never>>;

/** envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided */
export type ClusterProvided = Readonly<Record<never, never>>;

/** envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig */
export interface PolicyLocality {
  readonly zoneAwareLbConfig?: PolicyZoneAware | undefined;
  readonly localityWeightedLbConfig?: PolicyLocalityWeighted | undefined;
}

/** envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig */
export interface PolicyZoneAware {
  readonly failTrafficOnPanic?: boolean | undefined;
}

/** envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig */
export type PolicyLocalityWeighted = Readonly<Record<never, never>>;

/** envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig */
export interface PolicyConsistentHashing {
  readonly useHostnameForHashing?: boolean | undefined;
  readonly hashBalanceFactor?: UInt32Value | undefined;
}

/** envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig */
export interface PolicySlowStart {
  readonly slowStartWindow?: Duration | undefined;
  readonly aggression?: RuntimeDouble | undefined;
  readonly minWeightPercent?: Percent | undefined;
}

/** envoy.config.cluster.v3.Cluster.SlowStartConfig */
export interface SlowStartConfig {
  readonly slowStartWindow?: Duration | undefined;
  readonly aggression?: RuntimeDouble | undefined;
  readonly minWeightPercent?: Percent | undefined;
}

/** envoy.config.core.v3.RuntimeDouble */
export interface RuntimeDouble {
  readonly defaultValue?: number | undefined;
  readonly runtimeKey?: string | undefined;
}

/** envoy.config.core.v3.HttpProtocolOptions */
export interface CommonHttpOptions {
  readonly idleTimeout?: Duration | undefined;
  readonly maxConnectionDuration?: Duration | undefined;
  readonly maxRequestsPerConnection?: UInt32Value | undefined;
}

/** envoy.config.cluster.v3.UpstreamConnectionOptions */
export interface UpstreamConnectionOptions {
  readonly tcpKeepalive?: TcpKeepalive | undefined;
}

/** envoy.config.core.v3.TcpKeepalive */
export interface TcpKeepalive {
  readonly keepaliveProbes?: UInt32Value | undefined;
  readonly keepaliveTime?: UInt32Value | undefined;
  readonly keepaliveInterval?: UInt32Value | undefined;
}

/** envoy.config.cluster.v3.OutlierDetection */
export interface OutlierDetection {
  readonly consecutive5xx?: UInt32Value | undefined;
  readonly enforcingConsecutive5xx?: UInt32Value | undefined;
  readonly consecutiveGatewayFailure?: UInt32Value | undefined;
  readonly enforcingConsecutiveGatewayFailure?: UInt32Value | undefined;
  readonly enforcingSuccessRate?: UInt32Value | undefined;
  readonly interval?: Duration | undefined;
  readonly baseEjectionTime?: Duration | undefined;
  readonly maxEjectionPercent?: UInt32Value | undefined;
  readonly successRateMinimumHosts?: UInt32Value | undefined;
  readonly successRateRequestVolume?: UInt32Value | undefined;
  readonly successRateStdevFactor?: UInt32Value | undefined;
  readonly splitExternalLocalOriginErrors?: boolean | undefined;
  readonly consecutiveLocalOriginFailure?: UInt32Value | undefined;
  readonly enforcingConsecutiveLocalOriginFailure?: UInt32Value | undefined;
  readonly failurePercentageThreshold?: UInt32Value | undefined;
  readonly enforcingFailurePercentage?: UInt32Value | undefined;
  readonly failurePercentageMinimumHosts?: UInt32Value | undefined;
  readonly failurePercentageRequestVolume?: UInt32Value | undefined;
}

/** envoy.config.core.v3.HealthCheck */
export interface HealthCheck {
  readonly timeout?: Duration | undefined;
  readonly interval?: Duration | undefined;
  readonly initialJitter?: Duration | undefined;
  readonly intervalJitter?: Duration | undefined;
  readonly intervalJitterPercent?: number | undefined;
  readonly unhealthyThreshold?: UInt32Value | undefined;
  readonly healthyThreshold?: UInt32Value | undefined;
  readonly altPort?: UInt32Value | undefined;
  readonly httpHealthCheck?: HttpHealthCheck | undefined;
  readonly tcpHealthCheck?: TcpHealthCheck | undefined;
  readonly grpcHealthCheck?: GrpcHealthCheck | undefined;
  readonly noTrafficInterval?: Duration | undefined;
  readonly unhealthyInterval?: Duration | undefined;
}

/** envoy.config.core.v3.HealthCheck.HttpHealthCheck */
export interface HttpHealthCheck {
  readonly host?: string | undefined;
  readonly path?: string | undefined;
  readonly requestHeadersToAdd?: readonly HeaderValueOption[] | undefined;
  readonly expectedStatuses?: readonly Int64Range[] | undefined;
  readonly retriableStatuses?: readonly Int64Range[] | undefined;
  readonly method?: number | undefined;
}

/** envoy.config.core.v3.HealthCheck.TcpHealthCheck */
export interface TcpHealthCheck {
  readonly send?: HealthPayload | undefined;
  readonly receive?: readonly HealthPayload[] | undefined;
}

/** envoy.config.core.v3.HealthCheck.GrpcHealthCheck */
export interface GrpcHealthCheck {
  readonly serviceName?: string | undefined;
  readonly authority?: string | undefined;
  readonly initialMetadata?: readonly HeaderValueOption[] | undefined;
}

/** envoy.config.core.v3.HealthCheck.Payload */
export interface HealthPayload {
  readonly text?: string | undefined;
  readonly binary?: Uint8Array | undefined;
}

/** envoy.type.v3.Int64Range */
export interface Int64Range {
  readonly start?: number | undefined;
  readonly end?: number | undefined;
}

/** envoy.config.endpoint.v3.ClusterLoadAssignment */
export interface ClusterLoadAssignment {
  readonly clusterName?: string | undefined;
  readonly endpoints?: readonly LocalityLbEndpoints[] | undefined;
  readonly policy?: LoadPolicy | undefined;
}

/** envoy.config.endpoint.v3.ClusterLoadAssignment.Policy */
export interface LoadPolicy {
  readonly overprovisioningFactor?: UInt32Value | undefined;
}

/** envoy.config.endpoint.v3.LocalityLbEndpoints */
export interface LocalityLbEndpoints {
  readonly locality?: Locality | undefined;
  readonly lbEndpoints?: readonly LbEndpoint[] | undefined;
  readonly loadBalancingWeight?: UInt32Value | undefined;
  readonly priority?: number | undefined;
}

/** envoy.config.core.v3.Locality */
export interface Locality {
  readonly region?: string | undefined;
  readonly zone?: string | undefined;
  readonly subZone?: string | undefined;
}

/** envoy.config.endpoint.v3.LbEndpoint */
export interface LbEndpoint {
  readonly endpoint?: EnvoyEndpoint | undefined;
  readonly healthStatus?: number | undefined;
  readonly metadata?: Metadata | undefined;
  readonly loadBalancingWeight?: UInt32Value | undefined;
}

/** envoy.config.endpoint.v3.Endpoint */
export interface EnvoyEndpoint {
  readonly address?: Address | undefined;
  readonly hostname?: string | undefined;
}

/** envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport */
export interface UpstreamProxyProtocol {
  readonly config?: ProxyProtocolConfig | undefined;
  readonly transportSocket?: TransportSocket | undefined;
}

/** envoy.config.core.v3.ProxyProtocolConfig */
export interface ProxyProtocolConfig {
  readonly version?: number | undefined;
}

/** envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer */
export type RawBuffer = Readonly<Record<never, never>>;

/** envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext */
export interface UpstreamTlsContext {
  readonly commonTlsContext?: CommonTlsContext | undefined;
  readonly sni?: string | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext */
export interface DownstreamTlsContext {
  readonly commonTlsContext?: CommonTlsContext | undefined;
  readonly requireClientCertificate?: BoolValue | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.CommonTlsContext */
export interface CommonTlsContext {
  readonly tlsParams?: TlsParameters | undefined;
  readonly alpnProtocols?: readonly string[] | undefined;
  readonly tlsCertificateSdsSecretConfigs?: readonly SdsSecretConfig[] | undefined;
  readonly validationContext?: CertificateValidationContext | undefined;
  readonly combinedValidationContext?: CombinedValidationContext | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.TlsParameters */
export interface TlsParameters {
  readonly tlsMinimumProtocolVersion?: number | undefined;
  readonly tlsMaximumProtocolVersion?: number | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext */
export interface CombinedValidationContext {
  readonly defaultValidationContext?: CertificateValidationContext | undefined;
  readonly validationContextSdsSecretConfig?: SdsSecretConfig | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext */
export interface CertificateValidationContext {
  readonly trustedCa?: DataSource | undefined;
  readonly matchTypedSubjectAltNames?: readonly SubjectAltNameMatcher[] | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher */
export interface SubjectAltNameMatcher {
  readonly sanType?: number | undefined;
  readonly matcher?: StringMatcher | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig */
export interface SdsSecretConfig {
  readonly name?: string | undefined;
  readonly sdsConfig?: ConfigSource | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.Secret */
export interface EnvoySecret {
  readonly name?: string | undefined;
  readonly tlsCertificate?: TlsCertificate | undefined;
  readonly validationContext?: CertificateValidationContext | undefined;
}

/** envoy.extensions.transport_sockets.tls.v3.TlsCertificate */
export interface TlsCertificate {
  readonly certificateChain?: DataSource | undefined;
  readonly privateKey?: DataSource | undefined;
}

/** istio.v1.auth.IstioCertificateRequest */
export interface CertificateRequest {
  readonly csr?: string | undefined;
  readonly validityDuration?: number | undefined;
  readonly metadata?: Struct | undefined;
}

/** istio.v1.auth.IstioCertificateResponse */
export interface CertificateResponse {
  readonly certChain?: readonly string[] | undefined;
}

/** heddle.node.v1.JsonResource */
export interface JsonResource {
  readonly json?: string | undefined;
}

/** heddle.snapshot.v1.Snapshot */
export interface Snapshot {
  readonly version?: string | undefined;
}
