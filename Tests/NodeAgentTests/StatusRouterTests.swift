import Addressing
import Logging
import Synchronization
import Telemetry
import Testing

@testable import NodeAgent

@Suite struct StatusRouterTests {
    final class Subject: StatusSubject {
        let added = Mutex<[String]>([])
        let level = Mutex(Logger.Level.info)
        let waiting: [String]
        let outcome: OperatorBlockOutcome

        init(waiting: [String] = [], outcome: OperatorBlockOutcome = .done) {
            self.waiting = waiting
            self.outcome = outcome
        }

        func metricsText() async -> String { "martlet_up 1\n" }
        func statusDocument() async -> String { #"{"status":1}"# }
        func configurationDocument(_ selection: ConfigurationSelection) async -> String {
            let parts = [selection.listener, selection.route, selection.cluster].map { $0 ?? "-" }
            return "\"\(parts.joined(separator: " "))\""
        }
        func objectsDocument() async -> String { #"{"objects":[]}"# }
        func blocksDocument() async -> String { #"{"blocks":[]}"# }
        func explanation(of question: RequestQuestion) async -> String {
            let headers = question.headers.map { "\($0.name)=\($0.value)" }.joined()
            let address = question.address?.description ?? "-"
            return
                "\"\(question.method) \(question.host) \(question.target) \(headers) \(address)\""
        }
        func unreadiness() async -> [String] { waiting }
        func addBlock(
            _ source: IPPrefix,
            ttl: Duration,
            reason: String
        ) async -> OperatorBlockOutcome {
            added.withLock { $0.append("add \(source) \(ttl.components.seconds) \(reason)") }
            return outcome
        }
        func removeBlock(_ source: IPPrefix) async -> OperatorBlockOutcome {
            added.withLock { $0.append("remove \(source)") }
            return outcome
        }
        var logLevel: Logger.Level {
            get { level.withLock(\.self) }
            set { level.withLock { $0 = newValue } }
        }
        func drain() async { added.withLock { $0.append("drain") } }
    }

    private let root = StatusRequest.Channel.local(userID: 0)

    private func respond(
        _ request: StatusRequest,
        _ subject: Subject = Subject(),
        token: String? = nil
    ) async -> (status: Int, body: String, response: StatusResponse) {
        let access = StatusAccess(token: token, agentUserID: 42, hostNames: ["n1"])
        let router = StatusRouter(
            subject: subject,
            access: access,
            limits: StatusLimits(LimitRegistry())
        )
        let response = await router.respond(to: request)
        return (response.status, String(decoding: response.body, as: UTF8.self), response)
    }

    private func request(
        _ method: String,
        _ target: String,
        _ channel: StatusRequest.Channel = .network,
        body: String = ""
    ) -> StatusRequest {
        let parts = StatusRequest.target(target)
        return StatusRequest(
            channel: channel,
            method: method,
            path: parts?.path ?? "",
            query: parts?.query ?? [],
            host: "127.0.0.1:15020",
            body: Array(body.utf8)
        )
    }

    @Test(arguments: [
        ("/healthz", 200, "ok\n"), ("/metrics", 200, "martlet_up 1\n"),
        ("/status", 200, "{\"status\":1}\n"), ("/objects", 200, "{\"objects\":[]}\n"),
        ("/blocks", 200, "{\"blocks\":[]}\n"), ("/config", 200, "\"- - -\"\n"),
        ("/config?listener=a%2Fb&route=r&cluster=c", 200, "\"a/b r c\"\n"),
        (
            "/explain?request=GET%20http://h/p%0aa:%20b&at=192.0.2.1", 200,
            "\"GET h /p a=b 192.0.2.1\"\n"
        ),
        ("/explain?packet=x", 200, "null\n"),
        ("/loglevel", 200, "{\"level\":\"info\"}\n"),
        ("/readyz", 200, "{\"ready\":true,\"waitingFor\":[]}\n"),
    ])
    func everyPathAnswers(_ target: String, _ status: Int, _ body: String) async {
        let answer = await respond(request("GET", target))
        #expect(answer.status == status)
        #expect(answer.body == body)
    }

    @Test func theDashboardLoadsNothingFromElsewhere() async {
        let answer = await respond(request("GET", "/"))
        #expect(answer.status == 200)
        #expect(answer.response.contentType == "text/html; charset=utf-8")
        #expect(answer.body.contains("default-src 'none'"))
        #expect(!answer.body.contains("http://") && !answer.body.contains("https://"))
        #expect(!answer.body.contains("innerHTML"))
    }

    @Test func whoHasNotAppliedIsNamed() async {
        let subject = Subject(waiting: ["xdp has not applied the first snapshot"])
        let answer = await respond(request("GET", "/readyz"), subject)
        #expect(answer.status == 503)
        #expect(answer.body.contains("xdp has not applied"))
    }

    @Test(arguments: [
        ("GET", "/nothing", 404), ("GET", "/status/", 404), ("GET", "/drain", 405),
        ("PUT", "/status", 405), ("DELETE", "/metrics", 405), ("GET", "/explain", 400),
        ("GET", "/explain?packet=a&request=b", 400), ("GET", "/explain?request=GET%20/", 400),
        ("GET", "/explain?request=GET%20http://h/&at=h", 400), ("HEAD", "/status", 200),
    ])
    func otherRequestsAreRefused(_ method: String, _ target: String, _ status: Int) async {
        #expect(await respond(request(method, target)).status == status)
    }

    @Test func aWrongMethodIsToldTheRightOnes() async {
        let answer = await respond(request("PATCH", "/blocks", root))
        #expect(answer.response.fields == [.init(name: "Allow", value: "GET, POST, DELETE")])
    }

    // MARK: Access

    @Test(arguments: [
        ("127.0.0.1:15020", 200), ("[::1]:15020", 200), ("[::1]", 200), ("localhost", 200),
        ("LOCALHOST:1", 200), ("n1:15020", 200), ("10.0.0.5", 200), ("evil.example", 421),
        ("localhost.evil.example", 421), ("n1:port", 421), ("", 421),
    ])
    func hostIsCheckedOnTCP(_ host: String, _ status: Int) async {
        var asked = request("GET", "/status")
        asked.host = host
        #expect(await respond(asked).status == status)
        asked.channel = root
        #expect(await respond(asked).status == 200)
    }

    @Test func requestsWithAnOriginAreRefused() async {
        for channel in [StatusRequest.Channel.network, root] {
            var asked = request("GET", "/status", channel)
            asked.hasOrigin = true
            #expect(await respond(asked).status == 403)
        }
    }

    private static let changes = [
        ("POST", "/drain", ""), ("PUT", "/loglevel?level=debug", ""),
        ("POST", "/blocks", #"{"source":"192.0.2.7","ttlSeconds":30,"reason":"x"}"#),
        ("DELETE", "/blocks?source=192.0.2.7", ""),
    ]

    @Test(arguments: changes)
    func changesAreRefusedToAllButRootAgentAndToken(
        _ method: String,
        _ target: String,
        _ body: String
    ) async {
        let subject = Subject()
        let open = request(method, target, .network, body: body)
        #expect(await respond(open, subject).status == 403)
        #expect(await respond(open, subject, token: "secret-token-123").status == 401)
        var wrong = open
        wrong.authorization = "Bearer secret-token-124"
        #expect(await respond(wrong, subject, token: "secret-token-123").status == 401)
        wrong.authorization = "Basic secret-token-123"
        #expect(await respond(wrong, subject, token: "secret-token-123").status == 401)
        let stranger = request(method, target, .local(userID: 7), body: body)
        #expect(await respond(stranger, subject).status == 403)
        #expect(subject.added.withLock(\.self) == [] && subject.logLevel == .info)

        var right = open
        right.authorization = "bearer secret-token-123"
        #expect(await respond(right, subject, token: "secret-token-123").status < 300)
        for user: UInt32 in [0, 42] {
            let asked = request(method, target, .local(userID: user), body: body)
            #expect(await respond(asked, subject).status < 300)
        }
    }

    // MARK: Blocks and levels

    @Test func aBlockReachesTheSubject() async {
        let subject = Subject()
        let body = #"{"source":"192.0.2.0/24","ttlSeconds":30,"reason":"noise"}"#
        let answer = await respond(request("POST", "/blocks", root, body: body), subject)
        #expect(answer.status == 201)
        _ = await respond(request("DELETE", "/blocks?source=192.0.2.0%2F24", root), subject)
        #expect(
            subject.added.withLock(\.self)
                == ["add 192.0.2.0/24 30 noise", "remove 192.0.2.0/24"]
        )
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"source":"x","ttlSeconds":30}"#,
        #"{"source":"192.0.2.7","ttlSeconds":0}"#, #"{"source":"192.0.2.7","ttlSeconds":2592001}"#,
        #"{"source":"192.0.2.7","ttlSeconds":"30"}"#, #"{"source":"192.0.2.7"}"#,
        #"{"source":"192.0.2.1/24","ttlSeconds":30}"#,
        #"{"source":"192.0.2.7","ttlSeconds":30,"scope":"node"}"#,
    ])
    func malformedBlocksAreRefusedWithAReason(_ body: String) async {
        let subject = Subject()
        let answer = await respond(request("POST", "/blocks", root, body: body), subject)
        #expect(answer.status == 400)
        #expect(answer.body.contains("expected"))
        #expect(subject.added.withLock(\.self) == [])
    }

    @Test func refusalsOfTheNeverListAreGivenAsTheyAre() async {
        let body = #"{"source":"192.0.2.7","ttlSeconds":30}"#
        let refused = Subject(outcome: .refused("node n1"))
        let answer = await respond(request("POST", "/blocks", root, body: body), refused)
        #expect(answer.status == 422 && answer.body.contains("node n1"))
        let absent = Subject(outcome: .absent)
        let removal = request("DELETE", "/blocks?source=192.0.2.7", root)
        #expect(await respond(removal, absent).status == 404)
        #expect(await respond(request("DELETE", "/blocks", root), absent).status == 400)
    }

    @Test func theLevelIsSetByQueryOrBody() async {
        let subject = Subject()
        _ = await respond(request("PUT", "/loglevel?level=debug", root), subject)
        #expect(subject.logLevel == .debug)
        let body = #"{"level":"error"}"#
        _ = await respond(request("PUT", "/loglevel", root, body: body), subject)
        #expect(subject.logLevel == .error)
        let wrong = await respond(request("PUT", "/loglevel?level=loud", root), subject)
        #expect(wrong.status == 400 && subject.logLevel == .error)
    }
}
