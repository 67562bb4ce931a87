import Addressing
import LinuxSystem

/// Looks up the addresses of one name and kind, from one server after the other. It waits without a
/// thread of its own.
struct NameQuery: Sendable {
    /// What is known of a name.
    struct Outcome: Equatable, Sendable {
        /// Empty: it has none of this kind.
        var addresses: [IPAddress]
        /// For how long, seconds.
        var seconds: UInt32
    }

    let exchange: ServerExchange
    let configuration: ResolverConfiguration

    /// - Returns: `nil` where no server could say.
    func look(up name: String, _ kind: DNSQuestion.Kind) async -> Outcome? {
        guard let wire = DNSQuestion.wire(name) else { return nil }
        var owner = wire
        var seconds = UInt32.max
        for _ in 0...DNSQuestion.aliasMax {
            switch await ask(owner, kind) {
            case .addresses(let found, let own):
                return Outcome(addresses: found, seconds: min(seconds, own))
            case .alias(let target, let own):
                owner = target
                seconds = min(seconds, own)
            case .foreign, .altered, .truncated, .failure, nil: return nil
            }
        }
        return nil
    }

    /// Asks all servers, as often as is set, until one says something of the name.
    private func ask(_ name: [UInt8], _ kind: DNSQuestion.Kind) async -> DNSQuestion.Answer? {
        for _ in 0..<configuration.attempts {
            for server in configuration.servers {
                switch await ask(name, kind, server) {
                case .addresses(let found, let seconds)?:
                    return .addresses(found, seconds: seconds)
                case .alias(let target, let seconds)?: return .alias(target, seconds: seconds)
                case .foreign?, .altered?, .truncated?, .failure?, nil: continue
                }
            }
        }
        return nil
    }

    /// Asks one server, in the way that it understands.
    private func ask(
        _ name: [UInt8],
        _ kind: DNSQuestion.Kind,
        _ server: SocketAddress
    ) async -> DNSQuestion.Answer? {
        let mixing = UInt64.random(in: .min ... .max)
        let question = { DNSQuestion(wire: name, kind, mixing: mixing) }
        let answer = await send(question(), server, .datagram)
        switch answer {
        case .truncated?: return await send(question(), server, .stream)
        case .altered?:
            // The server, or a forger, wrote the name in its own way. Nobody forges a stream.
            if let whole = await send(question(), server, .stream) { return whole }
            return await send(DNSQuestion(wire: name, kind, mixing: 0), server, .datagram)
        case .failure(let code)? where DNSQuestion.isMisunderstanding(code):
            var plain = question()
            plain.hasOptions = false
            return await send(plain, server, .datagram)
        case .addresses?, .alias?, .foreign?, .failure?, nil: return answer
        }
    }

    private func send(
        _ question: DNSQuestion,
        _ server: SocketAddress,
        _ transport: ServerExchange.Transport
    ) async -> DNSQuestion.Answer? {
        let message = await exchange.ask(
            question.bytes,
            server,
            transport,
            timeoutMilliseconds: configuration.timeoutMilliseconds
        ) { question.answer(in: $0) != .foreign }
        guard let message else { return nil }
        let answer = question.answer(in: message)
        // What is written in another way is only of use over a stream.
        guard transport == .stream, answer == .altered else { return answer }
        return DNSQuestion(wire: question.name, question.kind, question.identifier)
            .answer(in: message, ignoringCase: true)
    }
}
