import DataPlane

/// A parser that bytes from outside reach, and the facts that must hold for every input.
///
/// A broken fact is a `precondition`: the fuzzer keeps the input that broke it.
enum FuzzTarget: String, CaseIterable {
    case http1Request = "http1-request"
    case http1Response = "http1-response"
    case chunkedBody = "chunked-body"
    case clientHello = "client-hello"
    case yaml = "yaml"
    case json = "json"
    case watchLines = "watch-lines"
    case dnsAnswer = "dns-answer"
    case proxyHeader = "proxy-header"

    /// Runs one input.
    func run(_ bytes: [UInt8]) {
        switch self {
        case .http1Request: HTTP1Facts.checkRequest(bytes)
        case .http1Response: HTTP1Facts.checkResponse(bytes)
        case .chunkedBody: ChunkedFacts.check(bytes)
        case .clientHello: ClientHelloFacts.check(bytes)
        case .yaml: YAMLFacts.check(bytes)
        case .json: JSONFacts.check(bytes)
        case .watchLines: WatchLineFacts.check(bytes)
        case .dnsAnswer: DNSFacts.check(bytes)
        case .proxyHeader: ProxyHeaderFacts.check(bytes)
        }
    }
}
