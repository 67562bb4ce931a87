/// Types of `Sources/` that no test names, by why that is: what drives them instead.
enum UntestedTypes {
    static let byReason: [String: Set<String>] = [
        "inside HTTP/2 and TLS to endpoints, driven by HTTP2UpstreamTests and UpstreamTLSTests": [
            "HTTP2ClientSession", "TLSResumption", "UpstreamStreams", "UpstreamTransport",
        ],
        "inside route filters, driven by RouteChangeTests, CrossOriginTests and RouteFilterTests": [
            "ChangeRow", "RouteChangeDocument", "RouteFilterDecoder",
        ],
        "inside the readers, driven by GRPCRouteTests": ["GRPCRouteDecoder"],
        "inside explanations, driven by ExplainTests": [
            "ExplanationTable", "MatchReason", "RequestExplanation", "RequestProbe",
        ],
        "inside regular expressions, driven by PatternTests": [
            "PatternAutomaton", "PatternNode", "PatternParser", "PatternProgram",
        ],
        "inside the HTTP parser, driven by HTTP1HeadTests": [
            "FieldLines", "HTTPMethod", "HeadEndSearch", "HeaderMask", "HeaderNames",
            "RequestLine",
        ],
        "inside the choice of endpoints, driven by BalancingTests and its like": [
            "BalancingRow", "EndpointChoice", "EndpointVitals", "WaitingLine",
        ],
        "at the edge, driven by TunnelTests, PathFormTests, ForwardingTests and ListenerLimitTests":
            [
                "ConnectionTally", "EdgeRow", "ForwardedAddress", "PathShape", "Tunnel",
            ],
        "inside tries, driven by RetryTests and TimeoutTests": ["GRPCTimeout", "TryRow"],
        "inside an HTTP/2 connection, driven by HTTP2ConnectionTests": [
            "HTTP2Connection", "HTTP2EntryRow",
        ],
        "inside the engine, driven by ProxySimulation and the tests of EventLoop's parts": [
            "AccessLog", "BufferPool", "ByteQueue", "Digits32", "EndpointTable", "EndpointTraffic",
            "EngineCounters",
            "EventHandler", "Exchange", "ExchangeAnnex", "FilterTally", "FlatTable", "Mailbox",
            "RequestPath",
            "RouteHash", "RoutingViewBuilder", "SlotTimers", "Table", "TrafficTables",
            "Worker",
        ],
        "inside the readers, driven by YAMLReader, ManifestReader and JSONText": [
            "CoreDecoder", "DiscoveryLimits", "DocumentBuilder", "GatewayDecoder", "JSONCursor",
            "KubernetesObject", "ObjectMeta", "PolicyDecoder", "RouteDecoder",
        ],
        "inside the readers, driven by SettingsPolicyTests": [
            "BackendPatch", "GatewayTLSDecoder", "ListenerPatch", "PolicyTarget",
            "RouteRetryDecoder", "RouteSessionDecoder", "SettingsDecoder",
        ],
        "inside lookups of names, driven by NameResolverTests": ["ServerExchange"],
        "parts of health checks, driven by HealthCheckTests": [
            "HealthBoard", "HealthChecker", "HealthProbes",
        ],
        "inside the sources, driven by KubernetesSource and SnapshotReducer": [
            "APIConnection", "APIConnectionPool", "APIExchange", "APIHTTP1Session",
            "APIHTTP2Session", "APISession", "Service", "SnapshotBuilder",
            "WorkloadReducer",
        ],
        "commands and their output, driven through the built binary": [
            "AgentCommand", "BlockCommand", "BuildInformation", "CNICommand", "CheckCommand",
            "CleanupCommand", "ConfigurationFault", "ConfigurationFile", "ControllerCommand",
            "ExplainCommand", "Martlet", "NodeAddressOptions", "StandardStream", "StatusClient",
            "StatusCommand", "Terminal", "VersionCommand",
        ],
        "parts of a running agent, driven by AgentTests and LimitTests": [
            "AgentMetrics", "AgentParts", "BlockNews", "BlockService", "CoupledIngress",
            "EndpointMetrics", "EngineTotals", "IngressLayer", "LimitList", "ListenerPlan",
            "NodeLock",
            "PluginMetrics", "ProcessSignals", "SettingWithoutEffect", "SnapshotSource",
            "WorkerParts",
        ],
        "documents of the status endpoint, driven by AgentTests": [
            "BlocksDocument", "ConfigurationDocument", "Dashboard", "ObjectsDocument",
            "StatusDocument",
        ],
        "inside capture, driven by CaptureTests": [
            "CapturePod", "NetlinkMessage", "PodLocator", "ServicePlan", "SocketDiagnosis",
        ],
        "inside the packet layer, driven by XDPEngineLiveTests": ["ShieldMaps", "XDPStatus"],
        "inside logs and metrics, driven by LogTests and MetricRegistryTests": [
            "LineLogHandler", "PrometheusWriter",
        ],
        "inside the access log, driven by LogFormatTests": ["CivilTime", "LogFormatCompiler"],
        "inside traces and gRPC, driven by TraceTests and GRPCReplyTests": [
            "GRPCStatus", "TraceContext", "Tracing",
        ],
        "inside exports, driven by ExportTests": [
            "AgentExporters", "OTLPExporter", "OTLPPost", "OTLPSignal",
        ],
        "inside filters of bodies, driven by CompressorTests, DecompressorTests and GRPCWebTests": [
            "CompressionStream", "Compressor", "ContentCoding", "DecompressionStream",
            "Decompressor", "GRPCWeb",
        ],
        "a reply's text, driven by KeyAuthTests": ["PluginReply"],
        "asks the name service, which a test has not": ["NameLookup"],
    ]
}
