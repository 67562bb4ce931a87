import Discovery
import MeshModel
import Testing

/// The schemas of `deploy/crds` and the decoders know the same fields with the same bounds.
@Suite struct DefinitionTests {
    private static let values: [String: String] = [
        "allow[]": "\"192.0.2.0/24\"", "trustedSources[]": "\"2001:db8::1\"",
        "source": "\"203.0.113.7\"", "ttl": "\"1h30m\"",
        "trustedPrefixes[]": "\"192.0.2.0/24\"", "hostname": "\"a.example\"",
        "host": "\"a.example\"", "hashKeys": "[{\"type\":\"Header\",\"name\":\"x\"}]",
        "subjectAltNames": "[{\"type\":\"Hostname\",\"hostname\":\"a.example\"}]",
        "group": "\"gateway.networking.k8s.io\"", "namespace": "\"ns\"",
    ]
    /// What HTNN has and Martlet refuses with a reason.
    private static let refused = "spec.subPolicies"

    private static func schema(_ file: String) throws -> DefinitionSchema {
        let definition = try #require(try DeployedFiles.documents("crds/\(file).yaml").first)
        return try #require(DefinitionSchema(definition))
    }

    @Test(arguments: [
        "martlet.mesh_sourcepolicies", "martlet.mesh_listenerpolicies",
        "martlet.mesh_backendpolicies", "htnn.mosn.io_consumers", "htnn.mosn.io_filterpolicies",
    ])
    func theSchemaAndTheDecoderKnowTheSameFields(file: String) throws {
        let schema = try Self.schema(file)
        var values = Self.values
        if schema.kind == "FilterPolicy" { values["kind"] = "\"Gateway\"" }
        var left: Set<String> = ["subPolicies"]
        if schema.apiVersion == "martlet.mesh/v1alpha1" {
            values["group"] = nil
            // Of what excludes each other one is taken.
            left.insert("service")
        }
        let faults = FieldReader.Faults(notesKeys: true)
        let document = try schema.document(without: left, values: values)
        guard case .object = ObjectDecoder.decode(document, faults) else {
            Issue.record("a document of every field is refused: \(faults.found)")
            return
        }
        let asked = Set(
            faults.asked.filter { $0.hasPrefix("spec.") }
                .map { $0.replacing("[0]", with: "[]") }
        )
        let wanted = schema.fields.filter { !$0.hasPrefix("\(Self.refused)[]") }
        #expect(asked == wanted, "\(asked.symmetricDifference(wanted).sorted())")
    }

    @Test func theBoundsOfSourcePolicysNumbersAreTheDecoders() throws {
        let schema = try Self.schema("martlet.mesh_sourcepolicies")
        #expect(
            schema.integers.map(\.field).sorted() == [
                "packetsPerSecond", "pluginBlocksPerMinute", "synPerSecond",
            ]
        )
        for (field, range) in schema.integers {
            for (value, isValid) in [
                (range.lowerBound - 1, false), (range.lowerBound, true), (range.upperBound, true),
                (range.upperBound + 1, false),
            ] {
                var values = Self.values
                values[field] = String(value)
                let document = try schema.document(values: values)
                var isTaken = false
                if case .object = ObjectDecoder.decode(document) { isTaken = true }
                #expect(isTaken == isValid, "\(field): \(value)")
            }
        }
    }

    @Test(arguments: [
        ("source", "[{\"ttl\":\"30s\"}]", "spec.deny[0].source: expected a string"),
        ("target", "{}", "spec.targetRef: expected a target"),
        ("auth", "{}", "spec.auth: expected at least one credential"),
    ])
    func whatIsRequiredIsRefusedWithoutIt(part: String, value: String, reason: String) throws {
        let (file, values): (String, [String: String]) =
            switch part {
            case "source": ("martlet.mesh_sourcepolicies", ["deny": value])
            case "target": ("htnn.mosn.io_filterpolicies", [:])
            default: ("htnn.mosn.io_consumers", ["auth": value])
            }
        let left: Set<String> = part == "target" ? ["targetRef", "subPolicies"] : ["subPolicies"]
        let document = try Self.schema(file).document(
            without: left,
            values: Self.values.merging(values) { $1 }
        )
        guard case .refused(_, _, _, let faults) = ObjectDecoder.decode(document) else {
            Issue.record("expected a refusal")
            return
        }
        #expect(faults.contains { $0.reason.hasPrefix(reason) }, "\(faults)")
    }

    @Test func everyDefinitionIsServedStoredAndStructural() throws {
        for file in try DeployedFiles.manifests("crds") {
            let definition = try #require(try DeployedFiles.documents("crds/\(file)").first)
            let versions = definition.at("spec", "versions")?.items ?? []
            #expect(versions.count { $0["storage"]?.string == "true" } == 1, "\(file)")
            for version in versions {
                #expect(version["served"]?.string == "true")
                #expect(version.at("subresources", "status") != nil)
                let schema = try #require(version.at("schema", "openAPIV3Schema"))
                #expect(schema["type"]?.string == "object")
                #expect(schema["required"]?.strings == ["spec"])
            }
        }
    }
}
