import Addressing

/// Who may ask the status endpoint, and who may change things by it.
struct StatusAccess: Sendable {
    /// The bearer token for changes over TCP; `nil`: none are taken there.
    var token: String?
    /// The user that the agent runs as.
    var agentUserID: UInt32
    /// Names besides `localhost` that a TCP request may be addressed to: the node's.
    var hostNames: Set<String>

    /// Why a request is refused before anything is looked at; `nil` when it may pass.
    ///
    /// A browser can be led here by a name that resolves to this address, or by another site's
    /// page; the first carries a foreign `Host`, the second an `Origin`.
    func refusal(of request: StatusRequest) -> StatusResponse? {
        if request.hasOrigin {
            return .refusal(403, "expected a request without Origin, found one from another page")
        }
        guard request.channel == .network, let host = request.host else { return nil }
        guard isOwn(host) else {
            return .refusal(421, "Host: expected this node's name or an address, found \(host)")
        }
        return nil
    }

    /// Why a change is refused; `nil` when it may be made.
    func refusalOfChange(by request: StatusRequest) -> StatusResponse? {
        switch request.channel {
        case .local(let userID):
            guard userID == 0 || userID == agentUserID else {
                let reason = "expected root or user \(agentUserID), found user \(userID)"
                return .refusal(403, "\(reason): \(request.path)")
            }
            return nil
        case .network:
            guard let token else {
                return .refusal(
                    403,
                    "expected a change on the agent's socket, found one on TCP without a status.token "
                        + "in the configuration: \(request.path)"
                )
            }
            guard let given = bearer(request.authorization), StatusAccess.equal(given, token) else {
                var response = StatusResponse.refusal(
                    401,
                    "expected the bearer token, found none that fits"
                )
                response.fields = [StatusRequest.Pair(name: "WWW-Authenticate", value: "Bearer")]
                return response
            }
            return nil
        }
    }

    private func isOwn(_ host: String) -> Bool {
        if SocketAddress(host) != nil { return true }
        var name = host[...]
        if name.hasPrefix("["), name.hasSuffix("]") {
            return IPAddress(name.dropFirst().dropLast()) != nil
        }
        if let colon = name.lastIndex(of: ":") {
            guard UInt16(name[name.index(after: colon)...]) != nil else { return false }
            name = name[..<colon]
        }
        let lowered = name.lowercased()
        return lowered == "localhost" || hostNames.contains(lowered) || IPAddress(lowered) != nil
    }

    private func bearer(_ authorization: String?) -> String? {
        guard let authorization, authorization.lowercased().hasPrefix("bearer ") else { return nil }
        return String(authorization.dropFirst(7))
    }

    /// Takes as long for a near miss as for a wide one.
    private static func equal(_ given: String, _ token: String) -> Bool {
        let left = Array(given.utf8)
        let right = Array(token.utf8)
        var difference: UInt8 = left.count == right.count ? 0 : 1
        for index in right.indices {
            difference |= right[index] ^ (index < left.count ? left[index] : 0)
        }
        return difference == 0
    }
}
