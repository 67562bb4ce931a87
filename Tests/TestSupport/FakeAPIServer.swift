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
        /// What is asked for: `GET` mostly.
        package var method = "GET"
        /// What the body is, and the body.
        package var contentType = ""
        package var body: [UInt8] = []
        /// The connection it came on, counted from 1.
        package var connection: Int
        /// The bearer token, if any.
        package var token: String?
        /// The common name of the client's certificate, if any.
        package var client: String?
        /// Whether it came over HTTP/2.
        package var isHTTP2 = false
    }

    private struct Event {
        var path: String
        var type: String
        var object: Stored
    }

    struct Watch {
        var path: String
        var sent: Int
    }

    struct Connection {
        var handle: StreamHandle
        var number: Int
        var request: [UInt8] = []
        var tls: FakeTLS?
        var http2: FakeHTTP2?
        /// By stream; 0 over HTTP/1.1.
        var watches: [Int32: Watch] = [:]
        /// What of a response is held back, and whether the connection ends after it.
        var held: [UInt8] = []
        var closesAfterHeld = false
    }

    /// Where a response goes.
    struct Place {
        var handle: StreamHandle
        /// 0 over HTTP/1.1.
        var stream: Int32
    }

    private(set) var host: StreamHost?
    var tls: FakeTLSContext?
    private var objects: [String: [String: Stored]] = [:]
    private var log: [Event] = []
    var connections: [Int32: Connection] = [:]
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
    /// Streams that a connection of HTTP/2 may have open at a time.
    package var streamMax = 100
    /// Requests over HTTP/2 that are refused before they are served.
    package var refusalCount = 0
    /// Connections up to this number hear nothing and say nothing any more, as behind a cable that
    /// was cut.
    package var deafConnectionMax = 0
    /// Whether the next request over HTTP/2 is not served but found behind the announced end.
    package var leavesUnserved = false
    /// Bytes that are sent in place of an answer over HTTP/2.
    package var rawAnswer: [UInt8] = []
    /// Connections so far.
    package internal(set) var connectionCount = 0
    /// Requests so far.
    package internal(set) var seen: [Request] = []
    /// Handshakes that failed: wrong certificates.
    package internal(set) var handshakeFaultCount = 0
    /// Why clients ended connections of HTTP/2, as often as one did.
    package internal(set) var goAwayCodes: [UInt32] = []

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
        tellWatches("{\"type\":\"BOOKMARK\",\"object\":\(object)}\n", ends: false)
    }

    /// Ends every watch with an error event.
    package func failWatches(code: Int) {
        let object = "{\"kind\":\"Status\",\"code\":\(code)}"
        tellWatches("{\"type\":\"ERROR\",\"object\":\(object)}\n", ends: true)
    }

    /// Ends every watch in good order, as a server does after the time asked for.
    package func expireWatches() {
        tellWatches("", ends: true)
    }

    /// Cuts every connection.
    package func disconnect() {
        for connection in connections.values { host?.close(connection.handle) }
        connections = [:]
    }

    /// Paths that are watched now.
    package var watchedPaths: [String] {
        connections.values.flatMap { $0.watches.values.map(\.path) }.sorted()
    }

    /// Has connections that come from now on speak TLS; `nil` for plain HTTP.
    package func setTLS(_ files: FakeTLSContext.Files?) { tls = files.flatMap(FakeTLSContext.init) }

    /// Announces the end of every connection of HTTP/2; what is served on it goes on.
    ///
    /// - Parameters:
    ///   - lastStream: the last that is served; `nil` for the last that has come.
    package func goAway(lastStream: Int32? = nil, code: UInt32 = 0) {
        for connection in connections.values {
            connection.http2?.goAway(lastStream: lastStream, code)
            flush(connection.handle)
        }
    }

    /// Ends every connection in good order, as a server does that is shut down.
    package func leave() {
        for connection in connections.values { closeWhenSent(connection.handle) }
    }

    /// PINGs that came on the connections that are open.
    package var pingCount: Int {
        connections.values.reduce(0) { $0 + ($1.http2?.pingCount ?? 0) }
    }

    /// Bytes of bodies that wait for windows to open.
    package var pendingByteCount: Int {
        connections.values.reduce(0) { $0 + ($1.http2?.pendingByteCount ?? 0) }
    }

    /// Sends bytes on every watch.
    package func tellWatches(_ text: String, ends: Bool) {
        for (index, connection) in connections {
            for stream in connection.watches.keys {
                if ends { connections[index]?.watches[stream] = nil }
                add(Place(handle: connection.handle, stream: stream), text, ends: ends)
            }
        }
    }

    // MARK: Connections

    func attach(_ host: StreamHost) { self.host = host }

    package func streamConnected(_ stream: StreamHandle) {}
    package func streamDrained(_ stream: StreamHandle) {}
    package func streamFailed(_ stream: StreamHandle, _ error: Errno) { forget(stream) }

    package func streamEnded(_ stream: StreamHandle) { close(stream) }

    package func streamTimedOut(_ stream: StreamHandle) { sendHeld(stream) }

    package func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        var copy: [UInt8] = []
        copy.append(copying: bytes)
        receive(stream, copy)
    }

    // MARK: Answers

    func answer(_ place: Place, _ request: Request) {
        let isReused = seen.contains { $0.connection == request.connection }
        seen.append(request)
        if dropsUsedConnections && isReused {
            close(place.handle)
            return
        }
        let parts = request.target.split(separator: "?", maxSplits: 1).map(String.init)
        var query: [String: String] = [:]
        for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
            query[sides[0]] = sides.count > 1 ? sides[1] : ""
        }
        if let token, request.token != token {
            respond(place, status: 401, "{}")
        } else if let status = statuses[parts[0]] {
            respond(place, status: status, "{}")
        } else if request.method != "GET" {
            respond(place, status: 200, String(decoding: request.body, as: UTF8.self))
        } else if query["watch"] == "true" {
            watch(place, parts[0], Int(query["resourceVersion"] ?? "") ?? 0)
        } else {
            list(place, parts[0], query)
        }
    }

    private func list(_ place: Place, _ path: String, _ query: [String: String]) {
        let token = query["continue"] ?? ""
        let kept = pages.removeValue(forKey: token)
        guard token.isEmpty || kept != nil else {
            respond(place, status: 410, "{}")
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
            place,
            status: 200,
            "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"\(listVersion)\","
                + "\"continue\":\"\(next)\"},\"items\":[\(items)]}"
        )
    }

    private func watch(_ place: Place, _ path: String, _ from: Int) {
        guard from >= oldestVersion else {
            let error = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n"
            respond(place, status: 200, error)
            return
        }
        connections[place.handle.index]?.watches[place.stream] = Watch(path: path, sent: version)
        respond(place, status: 200, eventText(path, after: from), isWhole: false)
    }

    private func pushEvents() {
        for (index, connection) in connections {
            for (stream, watch) in connection.watches {
                let text = eventText(watch.path, after: watch.sent)
                connections[index]?.watches[stream]?.sent = version
                add(Place(handle: connection.handle, stream: stream), text, ends: false)
            }
        }
    }

    private func eventText(_ path: String, after sent: Int) -> String {
        log.filter { $0.path == path && $0.object.version > sent }
            .map { "{\"type\":\"\($0.type)\",\"object\":\(json($0.object))}\n" }
            .joined()
    }

    private func json(_ stored: Stored) -> String {
        let namespace = stored.namespace.isEmpty ? "" : "\"namespace\":\"\(stored.namespace)\","
        return "{\(stored.content),\"metadata\":{\"name\":\"\(stored.name)\",\(namespace)"
            + "\"labels\":{\(stored.labels)},\"managedFields\":[{\"a\":\"}]\"}],"
            + "\"uid\":\"u-\(stored.name)\",\"generation\":\(stored.generation),"
            + "\"resourceVersion\":\"\(stored.version)\"}}"
    }
}
