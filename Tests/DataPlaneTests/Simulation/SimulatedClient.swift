import Addressing
import DataPlane

/// A client that sends planned requests, one at a time or pipelined, and checks each answer.
final class SimulatedClient {
    struct Request {
        var number: Int
        var cluster: Int
        var bodyByteCount: Int
    }

    private let network: SimulatedNetwork
    private let address: SocketAddress
    private var fd: Int32
    private var output: [UInt8] = []
    private var input: [UInt8] = []
    private var planned: [Request] = []
    private var waiting: [Request] = []
    private var pipelines = false
    private(set) var isDone = false
    private(set) var completed = 0
    private(set) var failed = 0
    private(set) var cut = 0
    private(set) var mixUps: [String] = []

    init(network: SimulatedNetwork, address: SocketAddress) {
        self.network = network
        self.address = address
        fd = network.connect(to: address)
    }

    func plan(_ count: Int, pipelines: Bool, _ make: () -> Request) {
        planned = (0..<count).map { _ in make() }
        self.pipelines = pipelines
    }

    func close() { if fd >= 0 { network.close(fd) } }

    func step() {
        while !planned.isEmpty && (waiting.isEmpty || (pipelines && waiting.count < 4)) {
            let request = planned.removeFirst()
            waiting.append(request)
            output += render(request)
        }
        if !output.isEmpty {
            let count = 1 + network.choose(output.count)
            output.removeFirst(network.write(fd, output[..<count]))
        }
        guard let bytes = network.read(fd) else {
            ended()
            return
        }
        input += bytes
        while readAnswer() {}
        if waiting.isEmpty && planned.isEmpty { isDone = true }
    }

    private func ended() {
        cut += waiting.count
        waiting.removeAll()
        input.removeAll()
        output.removeAll()
        network.close(fd)
        if planned.isEmpty {
            fd = -1
            isDone = true
        } else {
            fd = network.connect(to: address)
        }
    }

    private func render(_ request: Request) -> [UInt8] {
        let method = request.bodyByteCount > 0 ? "POST" : "GET"
        var head = "\(method) /cluster/\(request.cluster)/\(request.number) HTTP/1.1\r\n"
        head += "Host: sim\r\nX-Number: \(request.number)\r\n"
        if request.bodyByteCount > 0 { head += "Content-Length: \(request.bodyByteCount)\r\n" }
        return Array((head + "\r\n").utf8) + Array(repeating: 0x62, count: request.bodyByteCount)
    }

    private func readAnswer() -> Bool {
        guard let request = waiting.first, let end = SimulatedText.headEnd(input) else {
            return false
        }
        let head = String(decoding: input[..<end], as: UTF8.self)
        let body: [UInt8]
        if SimulatedText.header("transfer-encoding", in: head) != nil {
            guard let (decoded, consumed) = SimulatedClient.unchunk(input[end...]) else {
                return false
            }
            body = decoded
            input.removeFirst(end + consumed)
        } else {
            let length = SimulatedText.header("content-length", in: head).flatMap { Int($0) } ?? 0
            guard input.count >= end + length else { return false }
            body = Array(input[end..<(end + length)])
            input.removeFirst(end + length)
        }
        waiting.removeFirst()
        check(request, head, body)
        return true
    }

    private func check(_ request: Request, _ head: String, _ body: [UInt8]) {
        guard head.hasPrefix("HTTP/1.1 200") else {
            failed += 1
            return
        }
        let text = String(decoding: body.prefix(60), as: UTF8.self)
        let wanted = "cluster=\(request.cluster);number=\(request.number);"
        if text.hasPrefix(wanted) {
            completed += 1
        } else {
            mixUps.append("wanted \(wanted), got \(text)")
        }
    }

    private static func unchunk(_ bytes: ArraySlice<UInt8>) -> ([UInt8], Int)? {
        var at = bytes.startIndex
        var body: [UInt8] = []
        while true {
            guard let lineEnd = bytes[at...].firstIndex(of: 10) else { return nil }
            let line = String(decoding: bytes[at..<(lineEnd - 1)], as: UTF8.self)
            guard let size = Int(line, radix: 16) else { return nil }
            let dataStart = lineEnd + 1
            guard bytes.endIndex >= dataStart + size + 2 else { return nil }
            body += bytes[dataStart..<(dataStart + size)]
            at = dataStart + size + 2
            if size == 0 { return (body, at - bytes.startIndex) }
        }
    }
}
