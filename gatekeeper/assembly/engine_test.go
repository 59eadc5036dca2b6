package assembly

const fakeEngineEnv = "ASSEMBLY_TEST_ENGINE"

func fakeEngine(string, []string) {}
