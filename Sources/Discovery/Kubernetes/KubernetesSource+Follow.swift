import LinuxSystem
import MeshModel

/// How one kind is followed: the watch machine says what to do, this does it.
extension KubernetesSource {
    /// A watch is asked to end after so many seconds, and up to as many more.
    private static let watchSeconds: UInt64 = 300
    /// The longest silence of a watch: servers send bookmarks about every minute.
    private static let watchSilenceMax = Duration.seconds(150)
    /// The longest silence within a list.
    private static let listSilenceMax = Duration.seconds(30)

    /// Follows a kind until the task is cancelled.
    func follow(_ kind: ObjectKind) async {
        while !Task.isCancelled {
            guard let action = copy.next(kind), let resource = resource(kind) else { return }
            switch action {
            case .wait(let duration): try? await Task.sleep(for: duration)
            case .list(let token, let limit): await list(resource, token, limit)
            case .watch(let version): await watch(resource, version)
            }
        }
    }

    private func list(_ resource: APIResource, _ token: String, _ limit: Int) async {
        var target = "\(resource.path)?limit=\(limit)\(selector(resource))"
        if !token.isEmpty { target += "&continue=\(URLQuery.escape(token))" }
        var splitter = ListItemSplitter()
        var outcome = await exchange(
            resource,
            target,
            silenceMax: KubernetesSource.listSilenceMax
        ) { bytes throws(WatchMachine.Fault) in
            try self.copy.receivedList(resource, bytes, &splitter)
            self.changed()
        }
        if case .withdrawn(let sentence) = outcome {
            faults[resource.kind] = "\(resource.path): \(sentence)"
            outcome = .fault(.disconnected)
        } else if outcome == .ended {
            do throws(WatchMachine.Fault) {
                try copy.endedList(resource, &splitter)
                absent.remove(resource.kind)
                faults[resource.kind] = nil
                changed()
            } catch {
                outcome = .fault(error)
            }
        }
        if case .fault(let fault) = outcome { failed(resource, fault) }
    }

    private func watch(_ resource: APIResource, _ version: String) async {
        let seconds = KubernetesSource.watchSeconds + UInt64.random(in: 0..<300)
        let target =
            "\(resource.path)?watch=true&allowWatchBookmarks=true&timeoutSeconds=\(seconds)"
            + "&resourceVersion=\(URLQuery.escape(version))\(selector(resource))"
        let begun = ContinuousClock.now
        var splitter = WatchLineSplitter()
        let outcome = await exchange(
            resource,
            target,
            silenceMax: KubernetesSource.watchSilenceMax
        ) { bytes throws(WatchMachine.Fault) in
            defer { self.changed() }
            let random = UInt64.random(in: 0 ... .max)
            try self.copy.receivedWatch(resource, bytes, &splitter, random: random)
        }
        switch outcome {
        case .ended, .withdrawn:
            let lived = ContinuousClock.now - begun
            copy.watchEnded(resource.kind, lived: lived, random: .random(in: 0 ... .max))
        case .fault(.ended): break
        case .fault(let fault): failed(resource, fault)
        }
    }

    /// How a response came to its end.
    private enum Outcome: Equatable {
        case ended
        /// The server took its leave in good order: a watch goes on elsewhere from where it was.
        case withdrawn(String)
        case fault(WatchMachine.Fault)
    }

    /// Sends one request and gives the body of a good answer to `body` piece by piece.
    private func exchange(
        _ resource: APIResource,
        _ target: String,
        silenceMax: Duration,
        _ body: ([UInt8]) throws(WatchMachine.Fault) -> Void
    ) async -> Outcome {
        let response: APIResponse
        do {
            response = try await client.get(target, silenceMax: silenceMax)
        } catch {
            faults[resource.kind] = error.description
            return .fault(.disconnected)
        }
        defer {
            response.cancel()
            connected.remove(resource.kind)
        }
        for await part in response.parts {
            if Task.isCancelled { return .fault(.disconnected) }
            switch part {
            case .head(let status, let retryAfter):
                guard status != 200 else {
                    connected.insert(resource.kind)
                    faults[resource.kind] = nil
                    continue
                }
                faults[resource.kind] = "\(resource.path): \(sentence(status))"
                return .fault(fault(status, retryAfter))
            case .body(let bytes):
                response.taken(bytes.count)
                do throws(WatchMachine.Fault) {
                    try body(bytes)
                } catch {
                    return .fault(error)
                }
            case .end: return .ended
            case .withdrawn(let sentence): return .withdrawn(sentence)
            case .broken(let sentence):
                faults[resource.kind] = "\(resource.path): \(sentence)"
                await client.failed()
                return .fault(.disconnected)
            }
        }
        return .fault(.disconnected)
    }

    private func fault(_ status: Int, _ retryAfterSeconds: Int64) -> WatchMachine.Fault {
        switch status {
        case 401: .unauthorized
        case 403: .forbidden
        case 404: .notServed
        case 410: .expired
        case 429, 500...599: .overloaded(retryAfter: .seconds(retryAfterSeconds))
        default: .malformed
        }
    }

    private func sentence(_ status: Int) -> String {
        switch status {
        case 401: "expected 200, found 401: the credentials are refused"
        case 403: "expected 200, found 403: the account may not list or watch it"
        case 404: "expected 200, found 404: the server does not serve it"
        default: "expected 200, found \(status)"
        }
    }

    private func failed(_ resource: APIResource, _ fault: WatchMachine.Fault) {
        if fault == .notServed, useOtherVersion(of: resource) { return }
        copy.failed(resource.kind, fault, random: .random(in: 0 ... .max))
        switch fault {
        case .unauthorized: Task { await client.refused() }
        case .notServed, .forbidden:
            absent.insert(resource.kind)
            fallBack(from: resource.kind)
            changed()
        case .expired, .overloaded, .disconnected, .malformed, .ended: break
        }
    }

    private func selector(_ resource: APIResource) -> String {
        guard resource.isOwnNodeOnly else { return "" }
        return "&fieldSelector=" + URLQuery.escape("spec.nodeName=\(settings.nodeName)")
    }
}

/// Text within a query (RFC 3986 section 2.3).
enum URLQuery {
    /// Escapes every byte that is not unreserved.
    static func escape(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
    }
}
