import DataPlane

/// How the server's answers go over the wire: HTTP/1.1, or HTTP/2 where TLS agreed on it.
extension FakeAPIServer {
    // MARK: Receiving

    func receive(_ stream: StreamHandle, _ bytes: [UInt8]) {
        guard !isAway, let number = open(stream) else {
            close(stream)
            return
        }
        if number <= deafConnectionMax { return }
        var plaintext = bytes
        if let tls = connections[stream.index]?.tls {
            let outcome = tls.receive(bytes)
            if !outcome.output.isEmpty { send(stream, outcome.output) }
            if outcome.hasFailed {
                if !outcome.wasEstablished { handshakeFaultCount += 1 }
                closeWhenSent(stream)
                return
            }
            plaintext = outcome.plaintext
            if tls.speaksHTTP2, connections[stream.index]?.http2 == nil {
                connections[stream.index]?.http2 = FakeHTTP2(
                    streamMax: streamMax,
                    frameByteMax: chunkByteCount
                )
                flush(stream)
            }
        }
        if let http2 = connections[stream.index]?.http2 {
            receive(stream, plaintext, http2, number)
        } else {
            receiveHTTP1(stream, plaintext, number)
        }
    }

    private func receive(
        _ stream: StreamHandle,
        _ bytes: [UInt8],
        _ http2: FakeHTTP2,
        _ number: Int
    ) {
        let hadGoAway = http2.goAwayCode != nil
        guard let requests = http2.receive(bytes) else {
            close(stream)
            return
        }
        if let code = http2.goAwayCode, !hadGoAway { goAwayCodes.append(code) }
        for reset in http2.resetStreams { connections[stream.index]?.watches[reset] = nil }
        for request in requests {
            answer(stream, request, http2, number)
            guard connections[stream.index] != nil else { return }
        }
        flush(stream)
    }

    private func answer(
        _ stream: StreamHandle,
        _ request: FakeHTTP2.Request,
        _ http2: FakeHTTP2,
        _ number: Int
    ) {
        let came = Request(
            target: request.value(":path") ?? "",
            method: request.value(":method") ?? "",
            contentType: request.value("content-type") ?? "",
            body: request.body,
            connection: number,
            token: bearer(request.value("authorization")),
            client: connections[stream.index]?.tls?.clientName,
            isHTTP2: true
        )
        if refusalCount > 0 {
            refusalCount -= 1
            seen.append(came)
            http2.reset(request.stream, 7)
        } else if leavesUnserved {
            leavesUnserved = false
            seen.append(came)
            http2.goAway(lastStream: request.stream - 2, 0)
        } else if !rawAnswer.isEmpty {
            seen.append(came)
            write(stream, rawAnswer)
        } else {
            answer(Place(handle: stream, stream: request.stream), came)
        }
    }

    private func receiveHTTP1(_ stream: StreamHandle, _ plaintext: [UInt8], _ number: Int) {
        connections[stream.index]?.request += plaintext
        let text = String(decoding: connections[stream.index]?.request ?? [], as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return }
        let lines = text[..<end.lowerBound].split(separator: "\r\n").map(String.init)
        let body = Array(text[end.upperBound...].utf8)
        func value(_ name: String) -> String? {
            lines.first { $0.lowercased().hasPrefix("\(name): ") }
                .map { String($0.dropFirst(name.utf8.count + 2)) }
        }
        guard body.count == value("content-length").flatMap({ Int($0) }) ?? 0 else { return }
        connections[stream.index]?.request = []
        let words = lines[0].split(separator: " ").map(String.init)
        let came = Request(
            target: words[1],
            method: words[0],
            contentType: value("content-type") ?? "",
            body: body,
            connection: number,
            token: bearer(value("authorization")),
            client: connections[stream.index]?.tls?.clientName
        )
        answer(Place(handle: stream, stream: 0), came)
    }

    private func bearer(_ field: String?) -> String? {
        guard let field, field.hasPrefix("Bearer ") else { return nil }
        return String(field.dropFirst(7))
    }

    // MARK: Connections

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

    func forget(_ stream: StreamHandle) {
        guard connections[stream.index]?.handle == stream else { return }
        connections[stream.index] = nil
    }

    func close(_ stream: StreamHandle) {
        host?.close(stream)
        forget(stream)
    }

    func closeWhenSent(_ stream: StreamHandle) {
        host?.close(stream, whenDrained: true)
        forget(stream)
    }

    // MARK: Sending

    /// Begins a response.
    func respond(_ place: Place, status: Int, _ body: String, isWhole: Bool = true) {
        let bytes: [UInt8]
        let retryAfter = status == 200 ? nil : retryAfterSeconds
        if let http2 = connections[place.handle.index]?.http2 {
            http2.respond(place.stream, status: status, retryAfter: retryAfter)
            http2.append(place.stream, Array(body.utf8), ends: isWhole)
            bytes = http2.takeOutput()
        } else {
            var text = "HTTP/1.1 \(status) Word\r\nContent-Type: application/json\r\n"
            if closesConnections { text += "Connection: close\r\n" }
            if let retryAfter { text += "Retry-After: \(retryAfter)\r\n" }
            text += "Transfer-Encoding: chunked\r\n\r\n" + chunked(body)
            bytes = Array((isWhole ? text + "0\r\n\r\n" : text).utf8)
        }
        let ends = isWhole && closesConnections && place.stream == 0
        transmit(place.handle, bytes, ends: ends)
    }

    /// Goes on with a response.
    func add(_ place: Place, _ text: String, ends: Bool) {
        guard let connection = connections[place.handle.index] else { return }
        if let http2 = connection.http2 {
            http2.append(place.stream, Array(text.utf8), ends: ends)
            flush(place.handle)
            return
        }
        let bytes = Array((ends ? chunked(text) + "0\r\n\r\n" : chunked(text)).utf8)
        if connection.held.isEmpty {
            write(place.handle, bytes)
            if ends && closesConnections { closeWhenSent(place.handle) }
        } else {
            connections[place.handle.index]?.held += bytes
        }
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

    /// Sends what HTTP/2 has to send.
    func flush(_ stream: StreamHandle) {
        guard let http2 = connections[stream.index]?.http2 else { return }
        let output = http2.takeOutput()
        if connections[stream.index]?.held.isEmpty == true {
            write(stream, output)
        } else {
            connections[stream.index]?.held += output
        }
    }

    /// Sends a response, cut where it is to be cut.
    private func transmit(_ stream: StreamHandle, _ bytes: [UInt8], ends: Bool) {
        guard let cut = cutByteCount, cut < bytes.count else {
            write(stream, bytes)
            if ends { closeWhenSent(stream) }
            return
        }
        write(stream, Array(bytes[..<cut]))
        if breaksAtCut {
            cutByteCount = nil
            closeWhenSent(stream)
            return
        }
        connections[stream.index]?.held = Array(bytes[cut...])
        connections[stream.index]?.closesAfterHeld = ends
        let now = host?.loop.nowNanoseconds ?? 0
        host?.setDeadline(stream, now + 1_000_000)
    }

    func sendHeld(_ stream: StreamHandle) {
        host?.setDeadline(stream, 0)
        guard let held = connections[stream.index]?.held else { return }
        connections[stream.index]?.held = []
        write(stream, held)
        if connections[stream.index]?.closesAfterHeld == true { closeWhenSent(stream) }
    }

    private func write(_ stream: StreamHandle, _ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        guard let connection = connections[stream.index],
            connection.number > deafConnectionMax
        else { return }
        guard let tls = connection.tls else {
            send(stream, bytes)
            return
        }
        send(stream, tls.seal(bytes))
    }

    private func send(_ stream: StreamHandle, _ bytes: [UInt8]) {
        _ = bytes.withRawSpan { host?.write(stream, $0) }
    }
}
