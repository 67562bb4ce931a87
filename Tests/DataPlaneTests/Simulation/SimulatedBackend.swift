import Addressing
import DataPlane

/// An endpoint that answers each request with its own cluster and the request's number, now whole,
/// now in pieces, in chunks or with a length, now and then not at all.
final class SimulatedBackend {
    let address: SocketAddress
    let cluster: Int
    private let network: SimulatedNetwork
    /// Whether idle connections are closed now and then.
    var closesIdle = true
    /// Answers of status 503, in percent.
    var failurePercent = 0
    private var listener: Int32?
    private var connections: [Int32: Connection] = [:]

    private struct Connection {
        var input: [UInt8] = []
        var output: [UInt8] = []
        var bodyLeft = 0
        var pending: String?
    }

    init(network: SimulatedNetwork, address: SocketAddress, cluster: Int) {
        self.network = network
        self.address = address
        self.cluster = cluster
        listener = network.listen(on: address)
    }

    func kill() {
        for fd in connections.keys.sorted() {
            network.resetOnClose(fd)
            network.close(fd)
        }
        connections.removeAll()
        if let listener { network.close(listener) }
        listener = nil
    }

    func revive() {
        if listener == nil { listener = network.listen(on: address) }
    }

    func step() {
        guard let listener else { return }
        while let (fd, _) = network.accept(listener) { connections[fd] = Connection() }
        for fd in connections.keys.sorted() { step(fd) }
    }

    private func step(_ fd: Int32) {
        guard var connection = connections[fd] else { return }
        guard let bytes = network.read(fd) else {
            network.close(fd)
            connections[fd] = nil
            return
        }
        connection.input += bytes
        parse(&connection)
        if !connection.output.isEmpty {
            let count = 1 + network.choose(connection.output.count)
            let sent = network.write(fd, connection.output[..<count])
            connection.output.removeFirst(sent)
        } else if closesIdle && connection.input.isEmpty && network.choose(400) == 0 {
            network.close(fd)
            connections[fd] = nil
            return
        }
        connections[fd] = connection
    }

    private func parse(_ connection: inout Connection) {
        if connection.bodyLeft > 0 {
            let count = min(connection.bodyLeft, connection.input.count)
            connection.input.removeFirst(count)
            connection.bodyLeft -= count
        }
        guard connection.bodyLeft == 0 else { return }
        if let name = connection.pending {
            connection.pending = nil
            answer(&connection, name)
        }
        guard let end = SimulatedText.headEnd(connection.input) else { return }
        let head = String(decoding: connection.input[..<end], as: UTF8.self)
        connection.input.removeFirst(end)
        let length = SimulatedText.header("content-length", in: head).flatMap { Int($0) } ?? 0
        connection.bodyLeft = length
        connection.pending = SimulatedText.header("x-number", in: head) ?? "none"
        parse(&connection)
    }

    private func answer(_ connection: inout Connection, _ name: String) {
        let filler = String(repeating: "x", count: network.choose(3_000))
        let body = "cluster=\(cluster);number=\(name);\(filler)"
        let status = failurePercent > 0 && network.choose(100) < failurePercent ? 503 : 200
        if network.choose(2) == 0 {
            connection.output += Array(
                "HTTP/1.1 \(status) OK\r\nx-cluster: \(cluster)\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
                    .utf8
            )
        } else {
            connection.output += Array(
                "HTTP/1.1 \(status) OK\r\ntransfer-encoding: chunked\r\n\r\n".utf8
            )
            var rest = Array(body.utf8)[...]
            while !rest.isEmpty {
                let piece = rest.prefix(1 + network.choose(rest.count))
                connection.output += Array("\(String(piece.count, radix: 16))\r\n".utf8)
                connection.output += piece
                connection.output += Array("\r\n".utf8)
                rest = rest.dropFirst(piece.count)
            }
            connection.output += Array("0\r\n\r\n".utf8)
        }
    }
}

/// Small readings of HTTP text for the simulated peers.
enum SimulatedText {
    static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 0...(bytes.count - 4)
        where bytes[index] == 13 && bytes[index + 1] == 10 && bytes[index + 2] == 13
            && bytes[index + 3] == 10
        {
            return index + 4
        }
        return nil
    }

    static func header(_ name: String, in head: String) -> String? {
        for line in head.split(separator: "\r\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == name else { continue }
            return String(parts[1].drop { $0 == " " })
        }
        return nil
    }
}
