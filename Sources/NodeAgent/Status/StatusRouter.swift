import Addressing
import Discovery
import Logging
import MeshModel
import Telemetry

/// Answers requests to the status endpoint: which paths there are, who may change what, and the
/// words of every refusal. Knows nothing of connections.
struct StatusRouter: Sendable {
    /// What is shown.
    let subject: any StatusSubject
    /// Who may change things.
    let access: StatusAccess
    /// Counts what is over a bound.
    let limits: StatusLimits

    /// Longest time an operator may block a source: 30 days.
    static let blockTTLMax = Duration.seconds(30 * 86_400)
    /// Bytes of a block's reason.
    static let reasonByteLimit = 256

    private static let methodsByPath: [String: [String]] = [
        "/": ["GET"], "/healthz": ["GET"], "/readyz": ["GET"], "/metrics": ["GET"],
        "/status": ["GET"], "/config": ["GET"], "/objects": ["GET"], "/explain": ["GET"],
        "/blocks": ["GET", "POST", "DELETE"], "/loglevel": ["GET", "PUT"], "/drain": ["POST"],
    ]

    /// Answers a request.
    func respond(to request: StatusRequest) async -> StatusResponse {
        if let refusal = access.refusal(of: request) { return refusal }
        guard let methods = StatusRouter.methodsByPath[request.path] else {
            let known = StatusRouter.methodsByPath.keys.sorted().joined(separator: " ")
            return .refusal(404, "expected one of \(known), found \(request.path)")
        }
        let method = request.method == "HEAD" ? "GET" : request.method
        guard methods.contains(method) else {
            let allowed = methods.joined(separator: ", ")
            var response = StatusResponse.refusal(
                405,
                "expected \(allowed), found \(request.method): \(request.path)"
            )
            response.fields = [StatusRequest.Pair(name: "Allow", value: allowed)]
            return response
        }
        if method != "GET", let refusal = access.refusalOfChange(by: request) { return refusal }
        return method == "GET" ? await show(request) : await change(request, method)
    }

    // MARK: Reading

    private func show(_ request: StatusRequest) async -> StatusResponse {
        switch request.path {
        case "/": return .text(Dashboard.page, type: "text/html; charset=utf-8")
        case "/healthz": return .text("ok\n")
        case "/readyz": return await readiness()
        case "/metrics":
            let text = await subject.metricsText()
            return .text(text, type: "text/plain; version=0.0.4; charset=utf-8")
        case "/status": return .json(await subject.statusDocument())
        case "/config":
            let selection = ConfigurationSelection(
                listener: request.value("listener"),
                route: request.value("route"),
                cluster: request.value("cluster")
            )
            return .json(await subject.configurationDocument(selection))
        case "/objects": return .json(await subject.objectsDocument())
        case "/blocks": return .json(await subject.blocksDocument())
        case "/loglevel": return levelDocument()
        case "/explain": return await explanation(request)
        default: return .refusal(404, "expected a path of the endpoint, found \(request.path)")
        }
    }

    private func readiness() async -> StatusResponse {
        let reasons = await subject.unreadiness()
        var json = JSONWriter()
        json.object { json in
            json.bool("ready", reasons.isEmpty)
            json.strings("waitingFor", reasons)
        }
        return .json(json.text, status: reasons.isEmpty ? 200 : 503)
    }

    private func explanation(_ request: StatusRequest) async -> StatusResponse {
        guard (request.value("request") == nil) != (request.value("packet") == nil) else {
            return .refusal(400, "expected one of ?request= and ?packet=: /explain")
        }
        guard let text = request.value("request") else { return .json("null") }
        do throws(RequestQuestion.Fault) {
            let question = try RequestQuestion(text, at: request.value("at"))
            return .json(await subject.explanation(of: question))
        } catch {
            return .refusal(400, "?request=: \(error.reason)")
        }
    }

    private func levelDocument() -> StatusResponse {
        var json = JSONWriter()
        json.object { json in json.string("level", subject.logLevel.rawValue) }
        return .json(json.text)
    }

    // MARK: Changing

    private func change(_ request: StatusRequest, _ method: String) async -> StatusResponse {
        switch (request.path, method) {
        case ("/blocks", "POST"): return await addBlock(request)
        case ("/blocks", "DELETE"): return await removeBlock(request)
        case ("/loglevel", "PUT"): return setLevel(request)
        case ("/drain", "POST"):
            await subject.drain()
            return .json(#"{"draining":true}"#, status: 202)
        default: return .refusal(405, "expected another method: \(request.path)")
        }
    }

    private func addBlock(_ request: StatusRequest) async -> StatusResponse {
        guard let body = JSONText.parse(request.body), case .object(let members) = body else {
            return .refusal(400, "expected a JSON object with source, ttlSeconds, reason: /blocks")
        }
        let known = ["source", "ttlSeconds", "reason"]
        if let unknown = members.first(where: { !known.contains($0.name) }) {
            return .refusal(400, "expected source, ttlSeconds, reason, found \(unknown.name)")
        }
        guard let text = body["source"]?.text, let source = IPPrefix(text) else {
            let came = body["source"]?.shown ?? "nothing"
            return .refusal(400, "source: expected an address or prefix, found \(came)")
        }
        let longest = StatusRouter.blockTTLMax.components.seconds
        guard let seconds = body["ttlSeconds"]?.int, (1...longest).contains(seconds) else {
            if let asked = body["ttlSeconds"]?.int, asked > longest { limits.blockTTL.add() }
            let came = body["ttlSeconds"]?.shown ?? "nothing"
            return .refusal(
                400,
                "ttlSeconds: expected a number from 1 to \(longest), found \(came)"
            )
        }
        let reason = body["reason"]?.text ?? "no reason given"
        guard reason.utf8.count <= StatusRouter.reasonByteLimit else {
            let limit = StatusRouter.reasonByteLimit
            limits.reason.add()
            return .refusal(
                400,
                "reason: expected up to \(limit) bytes, found \(reason.utf8.count)"
            )
        }
        let outcome = await subject.addBlock(source, ttl: .seconds(seconds), reason: reason)
        return answer(outcome, source, done: 201)
    }

    private func removeBlock(_ request: StatusRequest) async -> StatusResponse {
        guard let text = request.value("source"), let source = IPPrefix(text) else {
            let came = request.value("source") ?? "nothing"
            return .refusal(400, "?source=: expected an address or prefix, found \(came)")
        }
        return answer(await subject.removeBlock(source), source, done: 200)
    }

    private func answer(
        _ outcome: OperatorBlockOutcome,
        _ source: IPPrefix,
        done: Int
    ) -> StatusResponse {
        switch outcome {
        case .refused(let reason): return .refusal(422, reason)
        case .absent: return .refusal(404, "expected an operator's block, found none: \(source)")
        case .done:
            var json = JSONWriter()
            json.object { json in json.string("source", source.description) }
            return .json(json.text, status: done)
        }
    }

    private func setLevel(_ request: StatusRequest) -> StatusResponse {
        let body = JSONText.parse(request.body)?["level"]?.text
        let wanted = request.value("level") ?? body ?? ""
        guard let level = Logger.Level(rawValue: wanted) else {
            let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            return .refusal(400, "level: expected one of \(names), found '\(wanted)'")
        }
        subject.logLevel = level
        return levelDocument()
    }
}
