/// Asks the kernel which TCP ports are listened on (`sock_diag(7)`).
package enum SocketDiagnosis {
    private static let listening: UInt32 = 1 << 10

    /// Asks for all listening TCP sockets of a family.
    package static func listeners(isIPv4: Bool) -> NetlinkMessage {
        var message = NetlinkMessage(type: 20, flags: .dump, subject: "listening sockets")
        message.append([isIPv4 ? 2 : 10, 6, 0, 0])
        message.append(listening)
        message.append([UInt8](repeating: 0, count: 48))
        return message
    }

    /// The port in an answer to `listeners`.
    package static func port(of reply: NetlinkReply) -> UInt16? {
        guard reply.type == 20, reply.payload.count >= 6 else { return nil }
        return UInt16(reply.payload[4]) << 8 | UInt16(reply.payload[5])
    }
}
