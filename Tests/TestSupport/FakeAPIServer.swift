import Addressing
import DataPlane
import LinuxSystem

/// An API server for tests, on a loop of its own: lists by pages of one version, watches with
/// bookmarks, 410, tokens, client certificates, and every way of breaking off. Everything it holds
/// belongs to that loop's thread.
package final class FakeAPIServer: StreamDelegate {
    /// An object as the server holds it.
    struct Stored {
        var name: String
        var namespace: String
        var labels: String
        var version: Int
        var generation: Int
        /// The members beside metadata, JSON without braces.
        var content: String
    }

    /// A request that came.
    package struct Request: Sendable {
        /// The path with its query.
        package var target: String
        /// The path alone.
        package var path: String { String(target.prefix { $0 != "?" }) }
        /// Whether it asks for a watch.
        package var isWatch: Bool { target.contains("watch=true") }
        /// The connection it came on, counted from 1.
        package var connection: Int
        /// The bearer token, if any.
        package var token: String?
        /// The common name of the client's certificate, if any.
        package var client: String?
    }

    private struct Event {
        var path: String
        var type: String
        var object: Stored
    }

    private struct Connection {
        var handle: StreamHandle
        var number: Int
        var request: [UInt8] = []
        var tls: FakeTLS?
        var watch: (path: String, sent: Int)?
        /// What of a response is held back, and whether the connection ends after it.
        var held: [UInt8] = []
        var closesAfterHeld = false
        var wasCut = false
    }

    private var host: StreamHost?
    private var tls: FakeTLSContext?
    private var objects: [String: [String: Stored]] = [:]
    private var log: [Event] = []
    private var connections: [Int32: Connection] = [:]
    private var pages: [String: (items: [Stored], version: Int)] = [:]
    private var version = 10
    private var oldestVersion = 0

    /// The most items of a page, whatever is asked for.
    package var pageLimit = 2
    /// Bytes of one chunk of a response.
    package var chunkByteCount = 1
    /// Paths that are answered with a status instead.
    package var statuses: [String: Int] = [:]
    /// Seconds of `Retry-After` in such answers; `nil` for none.
    package var retryAfterSeconds: Int?
    /// The token that is asked for; `nil` for none.
    package var token: String?
    /// Whether every response ends its connection.
    package var closesConnections = false
    /// Bytes of a response, head included, after which the rest follows in another packet.
    package var cutByteCount: Int?
    /// Whether the connection ends at the cut instead. Only the first response is cut so.
    package var breaksAtCut = false
    /// Whether a connection ends as soon as its second request has come.
    package var dropsUsedConnections = false
    /// Whether it is away: every connection ends at once.
    package var isAway = false
    /// Connections so far.
    package private(set) var connectionCount = 0
    /// Requests so far.
    package private(set) var seen: [Request] = []
    /// Handshakes that failed: wrong certificates.
    package private(set) var handshakeFaultCount = 0

    // MARK: Content

    /// Adds an object or gives it new content.
    ///
    /// - Parameters:
    ///   - path: of the kind's objects in all namespaces.
    ///   - content: the members beside metadata, JSON without braces.
    ///   - namespace: empty for objects of the cluster.
    package func upsert(
        _ path: String,
        _ name: String,
        _ content: String,
        namespace: String = "shop",
        labels: [String: String] = [:]
    ) {
        version += 1
        let pairs = labels.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
        let stored = Stored(
            name: name,
            namespace: namespace,
            labels: pairs.joined(separator: ","),
            version: version,
            generation: (objects[path]?[name]?.generation ?? 0) + 1,
            content: content
        )
        let isNew = objects[path, default: [:]].updateValue(stored, forKey: name) == nil
        log.append(Event(path: path, type: isNew ? "ADDED" : "MODIFIED", object: stored))
        pushEvents()
    }

    /// Deletes an object.
    package func delete(_ path: String, _ name: String) {
        guard var stored = objects[path]?.removeValue(forKey: name) else { return }
        version += 1
        stored.version = version
        log.append(Event(path: path, type: "DELETED", object: stored))
        pushEvents()
    }

    /// Forgets history: older watches and pages are answered 410.
    package func compact() {
        oldestVersion = version
        log = []
        pages = [:]
    }

    /// Sends a bookmark on every watch.
    package func bookmark() {
        version += 1
        let object = "{\"metadata\":{\"resourceVersion\":\"\(version)\"}}"
        tellWatches(chunked("{\"type\":\"BOOKMARK\",\"object\":\(object)}\n"))
    }

    /// Ends every watch with an error event.
    package func failWatches(code: Int) {
        let object = "{\"kind\":\"Status\",\"code\":\(code)}"
        tellWatches(chunked("{\"type\":\"ERROR\",\"object\":\(object)}\n") + "0\r\n\r\n")
        endWatches()
    }

    /// Ends every watch in good order, as a server does after the time asked for.
    package func expireWatches() {
        tellWatches("0\r\n\r\n")
        endWatches()
    }

    /// Cuts every connection.
    package func disconnect() {
        for connection in connections.values { host?.close(connection.handle) }
        connections = [:]
    }

    /// Paths that are watched now.
    package var watchedPaths: [String] { connections.values.compactMap(\.watch?.path).sorted() }

    /// Has connections that come from now on speak TLS; `nil` for plain HTTP.
    package func setTLS(_ files: FakeTLSContext.Files?) { tls = files.flatMap(FakeTLSContext.init) }

    private func tellWatches(_ text: String) {
        for connection in connections.values where connection.watch != nil {
            write(connection.handle, Array(text.utf8))
        }
    }

    private func endWatches() {
        for (index, connection) in connections where connection.watch != nil {
            connections[index]?.watch = nil
            if closesConnections { host?.close(connection.handle, whenDrained: true) }
        }
    }

    // MARK: Connections

    func attach(_ host: StreamHost) { self.host = host }

    package func streamConnected(_ stream: StreamHandle) {}
    package func streamDrained(_ stream: StreamHandle) {}
    package func streamFailed(_ stream: StreamHandle, _ error: Errno) { forget(stream) }

    package func streamEnded(_ stream: StreamHandle) { close(stream) }

    package func streamTimedOut(_ stream: StreamHandle) {
        host?.setDeadline(stream, 0)
        guard let held = connections[stream.index]?.held else { return }
        connections[stream.index]?.held = []
        write(stream, held)
        if connections[stream.index]?.closesAfterHeld == true { closeWhenSent(stream) }
    }

    package func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        guard !isAway, let number = open(stream) else {
            close(stream)
            return
        }
        var plaintext: [UInt8] = []
        plaintext.append(copying: bytes)
        if let tls = connections[stream.index]?.tls {
            let outcome = tls.receive(plaintext)
            if !outcome.output.isEmpty { send(stream, outcome.output) }
            if outcome.hasFailed {
                if !outcome.wasEstablished { handshakeFaultCount += 1 }
                closeWhenSent(stream)
                return
            }
            plaintext = outcome.plaintext
        }
        connections[stream.index]?.request += plaintext
        let text = String(decoding: connections[stream.index]?.request ?? [], as: UTF8.self)
        guard text.hasSuffix("\r\n\r\n") else { return }
        connections[stream.index]?.request = []
        answer(stream, text, number)
    }

    private func open(_ stream: StreamHandle) -> Int? {
        if let known = connections[stream.index], known.handle == stream { return known.number }
        connectionCount += 1
        connections[stream.index] = Connection(
            handle: stream,
            number: connectionCount,
            tls: tls.flatMap(FakeTLS.init)
        )
        return connectionCount
    }

    private func forget(_ stream: StreamHandle) {
        guard connections[stream.index]?.handle == stream else { return }
        connections[stream.index] = nil
    }

    private func close(_ stream: StreamHandle) {
        host?.close(stream)
        forget(stream)
    }

    private func closeWhenSent(_ stream: StreamHandle) {
        host?.close(stream, whenDrained: true)
        forget(stream)
    }

    // MARK: Answers

    private func answer(_ stream: StreamHandle, _ request: String, _ number: Int) {
        let target = String(request.split(separator: " ")[1])
        let bearer = request.split(separator: "\r\n")
            .first { $0.hasPrefix("Authorization: Bearer ") }
            .map { String($0.dropFirst(22)) }
        let isReused = seen.contains { $0.connection == number }
        seen.append(
            Request(
                target: target,
                connection: number,
                token: bearer,
                client: connections[stream.index]?.tls?.clientName
            )
        )
        if dropsUsedConnections && isReused {
            close(stream)
            return
        }
        let parts = target.split(separator: "?", maxSplits: 1).map(String.init)
        var query: [String: String] = [:]
        for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
            query[sides[0]] = sides.count > 1 ? sides[1] : ""
        }
        if let token, bearer != token {
            refuse(stream, 401)
        } else if let status = statuses[parts[0]] {
            refuse(stream, status)
        } else if query["watch"] == "true" {
            watch(stream, parts[0], Int(query["resourceVersion"] ?? "") ?? 0)
        } else {
            list(stream, parts[0], query)
        }
    }

    private func refuse(_ stream: StreamHandle, _ status: Int) {
        let retry = retryAfterSeconds.map { "Retry-After: \($0)\r\n" } ?? ""
        let close = closesConnections ? "Connection: close\r\n" : ""
        respond(stream, "HTTP/1.1 \(status) No\r\n\(close)\(retry)Content-Length: 2\r\n\r\n{}")
    }

    private func list(_ stream: StreamHandle, _ path: String, _ query: [String: String]) {
        let token = query["continue"] ?? ""
        let kept = pages.removeValue(forKey: token)
        guard token.isEmpty || kept != nil else {
            refuse(stream, 410)
            return
        }
        let all = kept?.items ?? (objects[path] ?? [:]).values.sorted { $0.name < $1.name }
        let listVersion = kept?.version ?? version
        let limit = Int(query["limit"] ?? "") ?? 0
        let page = all.prefix(limit == 0 ? all.count : min(limit, pageLimit))
        var next = ""
        if page.count < all.count {
            next = "t\(listVersion)-\(all.count)-\(path.utf8.count)-\(seen.count)"
            pages[next] = (Array(all.dropFirst(page.count)), listVersion)
        }
        let items = page.map(json).joined(separator: ", ")
        respond(
            stream,
            head
                + chunked(
                    "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"\(listVersion)\","
                        + "\"continue\":\"\(next)\"},\"items\":[\(items)]}"
                ) + "0\r\n\r\n"
        )
    }

    private func watch(_ stream: StreamHandle, _ path: String, _ from: Int) {
        guard from >= oldestVersion else {
            let error = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n"
            respond(stream, head + chunked(error) + "0\r\n\r\n")
            return
        }
        let events = eventText(path, after: from)
        connections[stream.index]?.watch = (path, version)
        respond(stream, head + events, isWhole: false)
    }

    private func pushEvents() {
        for (index, connection) in connections {
            guard let watch = connection.watch else { continue }
            let text = eventText(watch.path, after: watch.sent)
            connections[index]?.watch?.sent = version
            if connection.held.isEmpty {
                write(connection.handle, Array(text.utf8))
            } else {
                connections[index]?.held += Array(text.utf8)
            }
        }
    }

    private func eventText(_ path: String, after sent: Int) -> String {
        log.filter { $0.path == path && $0.object.version > sent }
            .map { chunked("{\"type\":\"\($0.type)\",\"object\":\(json($0.object))}\n") }
            .joined()
    }

    private func json(_ stored: Stored) -> String {
        let namespace = stored.namespace.isEmpty ? "" : "\"namespace\":\"\(stored.namespace)\","
        return "{\(stored.content),\"metadata\":{\"name\":\"\(stored.name)\",\(namespace)"
            + "\"labels\":{\(stored.labels)},\"managedFields\":[{\"a\":\"}]\"}],"
            + "\"uid\":\"u-\(stored.name)\",\"generation\":\(stored.generation),"
            + "\"resourceVersion\":\"\(stored.version)\"}}"
    }

    private var head: String {
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            + (closesConnections ? "Connection: close\r\n" : "")
            + "Transfer-Encoding: chunked\r\n\r\n"
    }

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

    /// Sends a response, cut where it is to be cut.
    private func respond(_ stream: StreamHandle, _ text: String, isWhole: Bool = true) {
        let bytes = Array(text.utf8)
        let closes = isWhole && closesConnections
        guard let cut = cutByteCount, cut < bytes.count else {
            write(stream, bytes)
            if closes { closeWhenSent(stream) }
            return
        }
        write(stream, Array(bytes[..<cut]))
        if breaksAtCut {
            cutByteCount = nil
            closeWhenSent(stream)
            return
        }
        connections[stream.index]?.held = Array(bytes[cut...])
        connections[stream.index]?.closesAfterHeld = closes
        let now = host?.loop.nowNanoseconds ?? 0
        host?.setDeadline(stream, now + 1_000_000)
    }

    private func write(_ stream: StreamHandle, _ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        guard let tls = connections[stream.index]?.tls else {
            send(stream, bytes)
            return
        }
        send(stream, tls.seal(bytes))
    }

    private func send(_ stream: StreamHandle, _ bytes: [UInt8]) {
        _ = bytes.withRawSpan { host?.write(stream, $0) }
    }
}

/// A fake server with the loops that it and a client run on.
package struct RunningFakeAPIServer {
    /// The server.
    package let server: LoopBound<FakeAPIServer>
    /// Streams of a loop for a client in this process.
    package let client: LoopBound<StreamHost>
    /// The port on loopback.
    package let port: UInt16
    private let loops: [LoopBound<EventLoop>]

    /// Starts a server on a free port of loopback.
    package init() throws {
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
    package func tell(_ body: @escaping @Sendable (FakeAPIServer) -> Void) async {
        _ = await server.perform(body)
    }

    /// Asks on the server's thread.
    package func ask<Result: Sendable>(
        _ body: @escaping @Sendable (FakeAPIServer) -> Result
    ) async -> Result? {
        await server.perform(body)
    }

    /// Ends both loops.
    package func stop() { for loop in loops { loop.stop() } }
}
