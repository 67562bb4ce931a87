import Discovery
import MeshModel
import Testing

/// What `deploy/` installs is what the code needs, no more and no less.
@Suite struct DeployTests {
    @Test func everyFileIsReadableAndListedInItsKustomization() throws {
        for folder in ["crds", "node"] {
            let kustomization = try #require(
                try DeployedFiles.documents("\(folder)/kustomization.yaml").first
            )
            let listed = kustomization["resources"]?.strings ?? []
            #expect(listed.sorted() == (try DeployedFiles.manifests(folder)), "\(folder)")
            for file in listed {
                #expect(!(try DeployedFiles.documents("\(folder)/\(file)").isEmpty), "\(file)")
            }
        }
        let root = try #require(try DeployedFiles.documents("kustomization.yaml").first)
        #expect(root["resources"]?.strings == ["crds", "node"])
    }

    @Test func noClusterRoleHoldsASecret() throws {
        let role = try #require(try DeployedFiles.document("node/rbac.yaml", kind: "ClusterRole"))
        let resources = role["rules"]?.items.flatMap { $0["resources"]?.strings ?? [] } ?? []
        #expect(!resources.isEmpty)
        #expect(!resources.contains { $0 == "*" || $0.hasPrefix("secrets") })
    }

    @Test func theRoleGrantsWhatTheCodeUsesAndNothingElse() throws {
        let role = try #require(try DeployedFiles.document("node/rbac.yaml", kind: "ClusterRole"))
        var granted: Set<String> = []
        for rule in role["rules"]?.items ?? [] {
            for group in rule["apiGroups"]?.strings ?? [] {
                for resource in rule["resources"]?.strings ?? [] {
                    for verb in rule["verbs"]?.strings ?? [] {
                        granted.insert("\(group)/\(resource) \(verb)")
                    }
                }
            }
        }
        let used = APIAccess.table.flatMap { access in
            access.verbs.map { "\(access.group)/\(access.resource) \($0)" }
        }
        #expect(granted == Set(used))
    }

    @Test func theRoleIsBoundToTheAccountOfTheDaemonSet() throws {
        let binding = try #require(
            try DeployedFiles.document("node/rbac.yaml", kind: "ClusterRoleBinding")
        )
        let daemonSet = try #require(
            try DeployedFiles.document("node/daemonset.yaml", kind: "DaemonSet")
        )
        let subject = try #require(binding["subjects"]?.items.first)
        #expect(subject["name"]?.string == "martlet-node")
        #expect(subject["namespace"]?.string == daemonSet.at("metadata", "namespace")?.string)
        #expect(
            daemonSet.at("spec", "template", "spec", "serviceAccountName")?.string
                == subject["name"]?.string
        )
    }

    @Test func theDaemonSetUsesTheNodesNetworkAndClaimsNoPorts() throws {
        let daemonSet = try #require(
            try DeployedFiles.document("node/daemonset.yaml", kind: "DaemonSet")
        )
        let pod = try #require(daemonSet.at("spec", "template", "spec"))
        #expect(pod["hostNetwork"]?.string == "true")
        let container = try #require(pod["containers"]?.items.first)
        #expect(container["ports"] == nil)
        #expect(
            container.at("readinessProbe", "exec", "command")?.strings.contains("status") == true
        )
        #expect(!daemonSet.allKeys.contains("hostPort"))
        #expect(!daemonSet.allKeys.contains("httpGet"))
    }

    @Test func theProbeAndTheArgumentsAreOfTheImagesBinary() throws {
        let daemonSet = try #require(
            try DeployedFiles.document("node/daemonset.yaml", kind: "DaemonSet")
        )
        let container = try #require(
            daemonSet.at("spec", "template", "spec", "containers")?.items.first
        )
        let stages = try DeployedFiles.stages("Dockerfile")
        #expect(stages.count == 2)
        let last = try #require(stages.last)
        let binary = "/usr/local/bin/martlet"
        #expect(last.contains("COPY --from=build /martlet \(binary)"))
        #expect(last.contains("ENTRYPOINT [\"\(binary)\"]"))
        let probe = container.at("readinessProbe", "exec", "command")?.strings ?? []
        #expect(probe == [binary, "status", "--ready"])
        #expect(
            container["args"]?.strings.prefix(3) == [
                "agent", "--config", "/etc/martlet/agent.yaml",
            ]
        )
        #expect(last.contains("CMD [\"agent\", \"--config\", \"/etc/martlet/agent.yaml\"]"))
        // What compiles stays behind.
        #expect(!last.contains { $0.contains("-dev") || $0.contains("swift") })
    }

    @Test func theImageIsBuiltWithThePackagesTheBuildNeeds() throws {
        let stages = try DeployedFiles.stages("Dockerfile")
        let build = (stages.first ?? []).flatMap { $0.split(separator: " ").map(String.init) }
        let line = try #require(
            try DeployedFiles.lines("../.ci/deps").first { $0.contains("[build]=") }
        )
        let needed = line.split(separator: "\"")[1].split(separator: " ").map(String.init)
        #expect(needed.count > 4)
        for package in needed { #expect(build.contains(package), "\(package)") }
    }

    @Test func everyMountIsThereAndTheSocketsFolderIsTheNodes() throws {
        let daemonSet = try #require(
            try DeployedFiles.document("node/daemonset.yaml", kind: "DaemonSet")
        )
        let pod = try #require(daemonSet.at("spec", "template", "spec"))
        let volumes = pod["volumes"]?.items ?? []
        let mounts = pod["containers"]?.items.first?["volumeMounts"]?.items ?? []
        #expect(
            Set(volumes.compactMap { $0["name"]?.string })
                == Set(mounts.compactMap { $0["name"]?.string })
        )
        let paths = mounts.compactMap { $0["mountPath"]?.string }
        for path in ["/run/martlet", "/var/lib/martlet", "/sys/fs/bpf", "/etc/martlet"] {
            #expect(paths.contains(path), "\(path)")
        }
        #expect(pod["hostPID"]?.string == "true")
    }

    @Test func theClassNamesThisController() throws {
        let gatewayClass = try #require(
            try DeployedFiles.document("node/gatewayclass.yaml", kind: "GatewayClass")
        )
        #expect(gatewayClass.at("metadata", "name")?.string == "martlet")
        #expect(gatewayClass.at("spec", "controllerName")?.string == "martlet.mesh/node-agent")
    }

    @Test func everyDefinitionIsNamedForItsKind() throws {
        var kinds: [String] = []
        for file in try DeployedFiles.manifests("crds") {
            let definition = try #require(try DeployedFiles.documents("crds/\(file)").first)
            let plural = try #require(definition.at("spec", "names", "plural")?.string)
            let group = try #require(definition.at("spec", "group")?.string)
            #expect(definition.at("metadata", "name")?.string == "\(plural).\(group)")
            #expect(file == "\(group)_\(plural).yaml")
            let name = try #require(definition.at("spec", "names", "kind")?.string)
            let kind = try #require(ObjectKind(rawValue: name))
            let scope = kind.isClusterScoped ? "Cluster" : "Namespaced"
            #expect(definition.at("spec", "scope")?.string == scope)
            kinds.append(name)
        }
        #expect(
            kinds.sorted() == [
                "BackendPolicy", "Consumer", "FilterPolicy", "ListenerPolicy", "SourcePolicy",
            ]
        )
    }

    @Test func theDemosManifestsHaveNoFault() throws {
        let settings = ReduceSettings(nodeName: "demo", isManifestMode: true)
        let faults = try ManifestCheck.check(
            directory: "\(DeployedFiles.folder)/demo/manifests",
            settings
        )
        #expect(faults.isEmpty, "\(faults.map(\.description))")
    }
}
