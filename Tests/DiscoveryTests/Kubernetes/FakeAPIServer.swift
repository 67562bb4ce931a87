import Addressing
import DataPlane
import LinuxSystem

/// An API server for tests: lists by pages, watches with bookmarks, 410, errors and disconnects, on a
/// loop of its own. Everything it holds belongs to that loop's thread.
final class FakeAPIServer: StreamDelegate {
    /// An object as the server holds it.
    struct Stored {
        var name: String
        var version: Int
        /// The members after metadata, JSON without braces.
        var content: String
    }

    private struct Event {
        var path: String
        var type: String
        var object: Stored
    }

    private(set) var host: StreamHost?
    private var objects: [String: [String: Stored]] = [:]
    private var log: [Event] = []
    private var watches: [Int32: (handle: StreamHandle, path: String, sent: Int)] = [:]
    private var requests: [Int32: [UInt8]] = [:]
    private var version = 10
    private var oldestVersion = 0

    /// The most items of a page, whatever is asked for.
    var pageLimit = 2
    /// Bytes of one chunk of a response.
    var chunkByteCount = 1
    /// Paths that are answered with a status instead.
    var statuses: [String: Int] = [:]
    /// The token that is asked for; `nil` for none.
    var token: String?
    /// Requests so far, first lines.
    private(set) var seen: [String] = []

    // MARK: Content

    /// Adds an object or gives it new content.
    func upsert(_ path: String, _ name: String, _ content: String) {
        version += 1
        let stored = Stored(name: name, version: version, content: content)
        let type = objects[path, default: [:]].updateValue(stored, forKey: name) == nil
        log.append(Event(path: path, type: type ? "ADDED" : "MODIFIED", object: stored))
        pushEvents()
    }

    /// Deletes an object.
    func delete(_ path: String, _ name: String) {
        guard var stored = objects[path]?.removeValue(forKey: name) else { return }
        version += 1
        stored.version = version
        log.append(Event(path: path, type: "DELETED", object: stored))
        pushEvents()
    }

    /// Forgets history: older watches are answered 410.
    func compact() {
        oldestVersion = version
        log = []
    }

    /// Sends a bookmark on every watch.
    func bookmark() {
        version += 1
        for handle in watches.values.map(\.handle) {
            let line =
                "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"\(version)\"}}}\n"
            send(handle, chunked(line))
        }
    }

    /// Cuts every connection.
    func disconnect() {
        for handle in watches.values.map(\.handle) { host?.close(handle) }
        watches = [:]
    }

    // MARK: Serving

    static func start() throws -> RunningFakeAPIServer { try RunningFakeAPIServer() }

    func attach(_ host: StreamHost) { self.host = host }

    func streamConnected(_ stream: StreamHandle) {}
    func streamDrained(_ stream: StreamHandle) {}
    func streamTimedOut(_ stream: StreamHandle) {}
    func streamFailed(_ stream: StreamHandle, _ error: Errno) { forget(stream) }

    func streamEnded(_ stream: StreamHandle) {
        host?.close(stream)
        forget(stream)
    }

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        requests[stream.index, default: []].append(copying: bytes)
        let text = String(decoding: requests[stream.index] ?? [], as: UTF8.self)
        guard text.hasSuffix("\r\n\r\n") else { return }
        requests[stream.index] = nil
        answer(stream, text)
    }

    private func forget(_ stream: StreamHandle) {
        watches[stream.index] = nil
        requests[stream.index] = nil
    }

    private func answer(_ stream: StreamHandle, _ request: String) {
        let target = String(request.split(separator: " ")[1])
        seen.append(target)
        let parts = target.split(separator: "?", maxSplits: 1).map(String.init)
        let path = parts[0]
        var query: [String: String] = [:]
        for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
            query[sides[0]] = sides.count > 1 ? sides[1] : ""
        }
        if let token, !request.contains("Authorization: Bearer \(token)\r\n") {
            refuse(stream, 401)
        } else if let status = statuses[path] {
            refuse(stream, status)
        } else if query["watch"] == "true" {
            watch(stream, path, Int(query["resourceVersion"] ?? "") ?? 0)
        } else {
            list(stream, path, query)
        }
    }

    private func refuse(_ stream: StreamHandle, _ status: Int) {
        send(stream, "HTTP/1.1 \(status) No\r\nContent-Length: 2\r\n\r\n{}")
        host?.close(stream, whenDrained: true)
    }

    private func list(_ stream: StreamHandle, _ path: String, _ query: [String: String]) {
        let all = (objects[path] ?? [:]).values.sorted { $0.name < $1.name }
        let start = Int(query["continue"] ?? "") ?? 0
        let page = all.dropFirst(start).prefix(pageLimit)
        let next = start + page.count < all.count ? String(start + page.count) : ""
        let items = page.map { json($0, path) }.joined(separator: ", ")
        send(stream, FakeAPIServer.head)
        send(
            stream,
            chunked(
                "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"\(version)\","
                    + "\"continue\":\"\(next)\"},\"items\":[\(items)]}"
            ) + "0\r\n\r\n"
        )
        host?.close(stream, whenDrained: true)
    }

    private func watch(_ stream: StreamHandle, _ path: String, _ from: Int) {
        send(stream, FakeAPIServer.head)
        guard from >= oldestVersion else {
            send(
                stream,
                chunked("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n")
                    + "0\r\n\r\n"
            )
            host?.close(stream, whenDrained: true)
            return
        }
        watches[stream.index] = (stream, path, from)
        pushEvents()
    }

    private func pushEvents() {
        for watch in watches.values {
            for event in log where event.path == watch.path && event.object.version > watch.sent {
                let object = json(event.object, event.path)
                send(watch.handle, chunked("{\"type\":\"\(event.type)\",\"object\":\(object)}\n"))
            }
            watches[watch.handle.index]?.sent = version
        }
    }

    private func json(_ stored: Stored, _ path: String) -> String {
        "{\(stored.content),\"metadata\":{\"name\":\"\(stored.name)\",\"namespace\":\"shop\","
            + "\"managedFields\":[{\"a\":\"}]\"}],\"uid\":\"u-\(stored.name)\","
            + "\"resourceVersion\":\"\(stored.version)\"}}"
    }

    private static let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

    private func chunked(_ text: String) -> String {
        var result = ""
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let piece = rest.prefix(chunkByteCount)
            rest = rest.dropFirst(piece.count)
            let size = String(piece.count, radix: 16)
            result += "\(size)\r\n\(String(decoding: piece, as: UTF8.self))\r\n"
        }
        return result
    }

    private func send(_ stream: StreamHandle, _ text: String) {
        _ = Array(text.utf8).withRawSpan { host?.write(stream, $0) }
    }
}

/// A fake server with the loops that it and a client run on.
struct RunningFakeAPIServer {
    let server: LoopBound<FakeAPIServer>
    let client: LoopBound<StreamHost>
    let port: UInt16
    private let loops: [LoopBound<EventLoop>]

    init() throws {
        let serverLoop = try EventLoop()
        let server = FakeAPIServer()
        let host = StreamHost(loop: serverLoop) { _ in server }
        server.attach(host)
        let socket = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        port = try Socket.localAddress(of: socket.rawValue).port
        let acceptor = Acceptor(loop: serverLoop)
        _ = try acceptor.add(socket, port: 1, isShared: false, sink: host)
        let clientLoop = try EventLoop()
        client = LoopBound(StreamHost(loop: clientLoop), to: clientLoop)
        self.server = LoopBound(server, to: serverLoop)
        loops = [
            LoopBound(serverLoop, to: serverLoop), LoopBound(clientLoop, to: clientLoop),
        ]
        for loop in loops { try LoopThread.start(loop, name: "fake-api") }
    }

    /// Runs on the server's thread.
    func tell<Result: Sendable>(_ body: @escaping @Sendable (FakeAPIServer) -> Result) async {
        _ = await server.perform(body)
    }

    func stop() { for loop in loops { loop.stop() } }
}
