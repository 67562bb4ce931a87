import MeshModel
import Testing

@testable import PluginRuntime

@Suite struct KeyAuthTests {
    private func rig() throws -> PluginRig {
        let rig = try PluginRig()
        rig.install(
            [[Sample.keyAuth([("Authorization", "HEADER"), ("api key", "QUERY")])]],
            consumers: [
                Sample.consumer("rick", key: "wubba lubba"),
                Sample.consumer("morty", key: "aw"),
                Sample.consumer("stranger", key: "other", namespace: "elsewhere"),
            ]
        )
        return rig
    }

    @Test(arguments: [
        ("/", ["authorization: aw"], "200"),
        ("/", ["AUTHORIZATION: wubba lubba"], "200"),
        ("/?api+key=wubba%20lubba", [], "200"),
        ("/?api%20key=aw", [], "200"),
        ("/?x=1", [], "200"),
        ("/", ["authorization: nobody"], "401"),
        ("/", ["authorization:"], "401"),
        ("/?api+key", [], "401"),
        ("/", ["authorization: other"], "401"),
        ("/", ["authorization: aw", "Authorization: aw"], "401"),
        ("/?api+key=aw&api%20key=aw", [], "401"),
        ("/?api+key=aw", ["authorization: nobody"], "401"),
        ("/?api+key=nobody", ["authorization: aw"], "200"),
    ])
    func theFirstSourceThatIsThereDecides(
        path: String,
        lines: [String],
        status: String
    ) throws {
        #expect(try rig().status(path, lines) == status)
    }

    @Test func aHeaderKeyIsNotForwardedAndOtherHeadersAre() throws {
        let answer = try rig().get("/a", ["authorization: aw", "x-other: stays"])
        #expect(!answer.lowercased().contains("authorization"))
        #expect(answer.contains("x-other: stays"))
    }

    @Test(arguments: [
        ("/a?b=%2F&api+key=aw&c=1", "GET /a?b=%2F&c=1 HTTP"),
        ("/a?api+key=aw", "GET /a HTTP"),
        ("/a?api+key=aw&api=2", "GET /a?api=2 HTTP"),
    ])
    func aQueryKeyIsNotForwardedAndTheRestIsUntouched(path: String, line: String) throws {
        #expect(try rig().get(path).contains(line))
    }

    @Test(arguments: [
        ([], true), (["content-type: application/json"], true),
        (["content-type: text/html"], false),
        (["content-type: application/json; charset=utf-8"], false),
    ])
    func theMessageIsJSONUnlessTheRequestIsOfAnotherType(
        lines: [String],
        isJSON: Bool
    ) throws {
        let answer = try rig().get("/", ["authorization: nobody"] + lines)
        #expect(answer.contains("content-type: application/json") == isJSON)
        #expect(answer.hasSuffix(isJSON ? "{\"msg\":\"invalid key\"}" : "\r\ninvalid key"))
        let twice = try rig().get("/", ["authorization: a", "authorization: b"] + lines)
        #expect(twice.contains("duplicate key found"))
    }

    @Test func ofTwoConsumersWithOneKeyTheFirstCountsAndTheOtherIsNamed() {
        let table = ConsumerTable(
            [Sample.consumer("a", key: "same"), Sample.consumer("b", key: "same")],
            chains: [:]
        )
        let space = ConsumerTable.space("keyAuth", namespace: "ns")
        #expect("same".withBytes { table.find(space: space, $0) } == 0)
        #expect(table.duplicates == ["Consumer ns/b keyAuth": "its key is Consumer ns/a's"])
    }

    @Test(
        arguments: [
            ([:], "keys: expected at least one key, found none"),
            (["keys": .array([])], "keys: expected at least one key, found none"),
            (["keys": .string("a")], "keys: expected a list, found \"a\""),
            (
                ["keys": .array([.object([.init("source", .string("HEADER"))])])],
                "keys[0].name: expected a string of at least one character, found nothing"
            ),
            (
                [
                    "keys": .array([
                        .object([.init("name", .string("a")), .init("source", .string("COOKIE"))])
                    ])
                ],
                "keys[0].source: expected HEADER or QUERY, found \"COOKIE\""
            ),
            (
                ["keys": .array([.object([.init("name", .string("a"))])]), "key": .null],
                "key: unknown field"
            ),
            (
                [
                    "keys": .array([
                        .object([.init("name", .string("a")), .init("form", .string("b"))])
                    ])
                ],
                "keys[0].form: unknown field"
            ),
        ] as [([String: JSONValue], String)]
    )
    func whatIsNotAConfigurationIsRefusedWithItsReason(
        members: [String: JSONValue],
        reason: String
    ) {
        let fault = PluginRegistry.shipped.fault(of: "keyAuth", Sample.object(members))
        #expect(fault == reason)
    }

    @Test func aCredentialNeedsAKeyAndNothingElse() {
        let registry = PluginRegistry.shipped
        let valid = Sample.object(["key": .string("k")])
        #expect(registry.credentialFault(of: "keyAuth", valid) == nil)
        #expect(registry.credentialFault(of: "keyAuth", Sample.object([:])) != nil)
        let more = Sample.object(["key": .string("k"), "more": .bool(true)])
        #expect(registry.credentialFault(of: "keyAuth", more) == "more: unknown field")
        #expect(registry.credentialFault(of: "sourceGuard", valid) != nil)
    }
}
