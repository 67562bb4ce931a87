/// HTTP in one version on one connection to the API server, on the control loop's thread.
protocol APISession: AnyObject {
    /// Requests that it carries at a time.
    var exchangeMax: Int { get }
    /// Requests that it carries now.
    var exchangeCount: Int { get }
    /// Whether it may ever carry another.
    var takesMore: Bool { get }
    /// Whether what fits on it is known: requests wait for that.
    var isReady: Bool { get }

    /// Sends what comes before the first request.
    func start()
    /// Sends a request; there must be room.
    func begin(_ exchange: APIExchange)
    /// Takes bytes that have come.
    func receive(_ bytes: [UInt8])
    /// What was written has been sent.
    func drained()
    /// The deadline that it set has passed.
    func timedOut()
    /// The reader of a response took so many bytes.
    func taken(_ exchange: APIExchange, _ byteCount: Int)
    /// Carries a request no more; nobody waits for its response.
    func cancel(_ exchange: APIExchange)
    /// The connection is over: gives up what it carries.
    ///
    /// - Parameters:
    ///   - sentence: what was expected and what came.
    ///   - inOrder: whether the server ended it, rather than that it failed.
    func over(_ sentence: String, inOrder: Bool) -> [(APIExchange, APIEnding)]
}

extension APISession {
    /// Whether it carries another request now.
    var hasRoom: Bool { isReady && takesMore && exchangeCount < exchangeMax }
}

/// How long a connection to the API server waits for what; nanoseconds. The defaults of the pings
/// are those of other clients of the API (`HTTP2_READ_IDLE_TIMEOUT_SECONDS`,
/// `HTTP2_PING_TIMEOUT_SECONDS` of k8s.io/apimachinery).
package struct APITimeouts: Sendable {
    /// For the request and the response's head; at the beginning, for TLS and the server's settings.
    package var headNanoseconds: UInt64 = 30_000_000_000
    /// For one address to answer.
    package var connectNanoseconds: UInt64 = 10_000_000_000
    /// How long a connection is kept that carries nothing; servers close theirs after about 90 s.
    package var idleNanoseconds: UInt64 = 60_000_000_000
    /// HTTP/2: how long nothing may come before the server is asked whether it is there.
    package var pingAfterNanoseconds: UInt64 = 30_000_000_000
    /// HTTP/2: how long it may take to answer that.
    package var pingNanoseconds: UInt64 = 15_000_000_000

    /// Makes the default times.
    package init() {}
}
