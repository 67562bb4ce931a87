import Addressing
import LinuxSystem

/// Looks up the addresses of one name, both kinds, from one server after the other. Blocks; for a
/// `BlockingThread`.
enum NameQuery {
    /// What is known of a name.
    struct Outcome: Equatable, Sendable {
        /// Addresses, the kinds in turn (RFC 8305 section 4); empty: it has none.
        var addresses: [IPAddress]
        /// For how long, seconds.
        var seconds: UInt32
    }

    /// - Returns: `nil` where no server could say.
    static func look(up name: String, _ configuration: ResolverConfiguration) -> Outcome? {
        var kinds: [[IPAddress]] = []
        var seconds = UInt32.max
        for kind in [DNSQuestion.Kind.ipv6, .ipv4] {
            guard let found = ask(name, kind, configuration) else { return nil }
            kinds.append(found.addresses)
            // That one kind is not there does not make the other short-lived.
            if !found.addresses.isEmpty || seconds == .max { seconds = min(seconds, found.seconds) }
        }
        var addresses: [IPAddress] = []
        for index in 0..<(kinds.map(\.count).max() ?? 0) {
            for kind in kinds where index < kind.count && !addresses.contains(kind[index]) {
                addresses.append(kind[index])
            }
        }
        return Outcome(addresses: addresses, seconds: seconds)
    }

    private static func ask(
        _ name: String,
        _ kind: DNSQuestion.Kind,
        _ configuration: ResolverConfiguration
    ) -> Outcome? {
        for _ in 0..<configuration.attempts {
            for server in configuration.servers {
                let identifier = UInt16.random(in: 0...UInt16.max)
                guard let question = DNSQuestion(name, kind, identifier: identifier) else {
                    return nil
                }
                let answer = ask(question, server, configuration.timeoutMilliseconds)
                if case .addresses(let found, let seconds)? = answer {
                    return Outcome(addresses: found, seconds: seconds)
                }
            }
        }
        return nil
    }

    private static func ask(
        _ question: DNSQuestion,
        _ server: SocketAddress,
        _ timeoutMilliseconds: Int32
    ) -> DNSQuestion.Answer? {
        let message = try? ServerExchange.datagram(
            question.bytes,
            to: server,
            timeoutMilliseconds: timeoutMilliseconds
        ) { question.answer(in: $0) != .foreign }
        guard let message else { return nil }
        let answer = question.answer(in: message)
        guard answer == .truncated else { return answer }
        let whole = try? ServerExchange.stream(
            question.bytes,
            to: server,
            timeoutMilliseconds: timeoutMilliseconds
        )
        return whole.map { question.answer(in: $0) }
    }
}
