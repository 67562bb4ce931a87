import Addressing
import Logging

/// What the status endpoint shows and what it can have done. Any thread.
protocol StatusSubject: Sendable {
    /// The Prometheus text.
    func metricsText() async -> String
    /// The document of `/status`.
    func statusDocument() async -> String
    /// The document of `/config`.
    func configurationDocument(_ selection: ConfigurationSelection) async -> String
    /// The document of `/objects`.
    func objectsDocument() async -> String
    /// The document of `/blocks`.
    func blocksDocument() async -> String
    /// The document of `/explain?request=`.
    func explanation(of question: RequestQuestion) async -> String
    /// Why the node is not ready, one line each; empty when it is.
    func unreadiness() async -> [String]
    /// Blocks a source at node scope in the operator's name.
    func addBlock(_ source: IPPrefix, ttl: Duration, reason: String) async -> OperatorBlockOutcome
    /// Removes an operator's block.
    func removeBlock(_ source: IPPrefix) async -> OperatorBlockOutcome
    /// The least level of log lines.
    var logLevel: Logger.Level { get nonmutating set }
    /// Begins to drain: the node turns unready and takes no new connections.
    func drain() async
}

/// Which part of `/config` is asked for; everything where nothing is named.
struct ConfigurationSelection: Equatable, Sendable {
    /// A listener, `namespace/gateway/name`.
    var listener: String?
    /// A route, `namespace/name`.
    var route: String?
    /// A cluster, `namespace/name:port`.
    var cluster: String?
}

/// What became of an operator's wish.
enum OperatorBlockOutcome: Equatable, Sendable {
    case done
    /// There is no such block.
    case absent
    /// Refused, with the reason.
    case refused(String)
}
